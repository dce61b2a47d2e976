"""Privileges that a request's content needs, which the schema does not name: options, bridges, storages.

Sources: qm(1), pveum(1) and the API's descriptions of what each method checks besides its path.
"""

import re
from collections.abc import Iterable, Mapping

from lab.proxmox import auth, layout
from lab.proxmox.api.call import Call
from lab.proxmox.config import DRIVES
from lab.proxmox.errors import ApiError
from lab.proxmox.schema import Value

_BY_OPTION = (
    (r"cores|cpu|cpulimit|cpuunits|numa\d*|sockets|vcpus", ("VM.Config.CPU",)),
    (r"memory|balloon|shares", ("VM.Config.Memory",)),
    (r"acpi|hotplug|kvm|machine|scsihw|smbios1|tablet|vga|watchdog|rng0|serial\d+", ("VM.Config.HWType",)),
    (
        r"agent|autostart|bios|description|keyboard|localtime|name|onboot|ostype|protection|startdate|template",
        ("VM.Config.Options",),
    ),
    (r"boot|bootdisk|vmstatestorage", ("VM.Config.Disk",)),
    (r"net\d+", ("VM.Config.Network",)),
    (
        r"ci(custom|password|type|user|upgrade)|nameserver|searchdomain|sshkeys|ipconfig\d+",
        ("VM.Config.Cloudinit", "VM.Config.Network"),
    ),
)
"""Options and the privileges of which one must be held."""
_FREE = frozenset({"tags"})


def demand(call: Call, path: str, *privileges: str) -> None:
    """Refuse with 403 a caller that has none of the privileges on the path."""
    had = auth.privileges(call.cluster, call.caller.name, path)
    if call.caller.name != auth.ROOT and not had.intersection(privileges):
        raise ApiError(403, f"Permission check failed ({path}, {'|'.join(privileges)})")


def check_options(call: Call, keys: Iterable[str], *, vmid: int) -> None:
    """Check each option that is set or deleted."""
    for key in keys:
        if DRIVES.fullmatch(key) or key in _FREE:
            continue
        wanted = next((names for pattern, names in _BY_OPTION if re.fullmatch(pattern, key)), None)
        if wanted:
            demand(call, f"/vms/{vmid}", *wanted)
        elif call.caller.name != auth.ROOT and key in ("args", "lock", "hookscript"):
            raise ApiError(500, f"only root can set '{key}' config")


def check_drives(call: Call, settings: Mapping[str, Value], *, vmid: int, exists: bool) -> None:
    """Check the storages that drives are made on; in an existing guest, drives are a privilege of their own."""
    for key, value in settings.items():
        if not DRIVES.fullmatch(key):
            continue
        text = str(value)
        if exists:
            demand(call, f"/vms/{vmid}", "VM.Config.CDROM" if "media=cdrom" in text else "VM.Config.Disk")
        storage, _, rest = text.partition(",")[0].partition(":")
        if rest and re.fullmatch(r"\d+(\.\d+)?|cloudinit", rest):
            demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")


def check_bridges(call: Call, settings: Mapping[str, Value]) -> None:
    """Check the bridges that cards are connected to."""
    for key, value in settings.items():
        if not re.fullmatch(r"net\d+", key):
            continue
        parts = dict(part.partition("=")[::2] for part in str(value).split(","))
        if bridge := parts.get("bridge"):
            tag = f"/{parts['tag']}" if "tag" in parts else ""
            demand(call, f"/sdn/zones/{layout.zone(bridge)}/{bridge}{tag}", "SDN.Use")
