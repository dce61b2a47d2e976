"""A guest's configuration: what a request makes of it. Pure; volumes are allocated by :mod:`lab.proxmox.disks`."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote, unquote

from lab.proxmox import schema
from lab.proxmox.errors import ApiError, ParameterError
from lab.proxmox.formats import NAMED
from lab.proxmox.schema import Value
from lab.proxmox.state import Config, Guest

DRIVES = re.compile(r"(ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5]))")
LIVE = frozenset(
    {
        "description",
        "hookscript",
        "name",
        "onboot",
        "protection",
        "startup",
        "tags",
        "migrate_speed",
        "migrate_downtime",
    }
)
"""What takes effect at once on a running guest; the rest waits for the next start (qm(1), pending changes)."""

_NOT_CONFIGURATION = frozenset(
    {"node", "vmid", "digest", "delete", "revert", "force", "skiplock", "background_delay", "archive", "bwlimit",
     "live-restore", "pool", "start", "storage", "unique", "import-working-storage", "ha-managed"}
)  # fmt: skip


def split(parameters: Mapping[str, Value]) -> Config:
    """Return what of a request's parameters is configuration, in the API's normal form."""
    config: Config = {}
    for key, value in parameters.items():
        if key in _NOT_CONFIGURATION or isinstance(value, list):
            continue
        if key == "tags":
            config[key] = normal_tags(str(value))
        elif re.fullmatch(r"net\d+", key):
            config[key] = with_mac(str(value))
        elif key == "cipassword":
            config[key] = "**********"
        elif key == "sshkeys":
            config[key] = quote(unquote(str(value)), safe="")
        else:
            config[key] = value
    return config


def normal_tags(tags: str) -> str:
    """Return tags sorted, in lower case, each once."""
    return ";".join(sorted({tag.lower() for tag in re.split(r"[,;\s]+", tags) if tag}))


def with_mac(net: str) -> str:
    """Return a network card with a MAC address; one that names none gets a new one, each time."""
    first, *rest = net.split(",")
    if re.fullmatch(r"[a-z0-9_-]+", first) and not any(part.startswith("macaddr=") for part in rest):
        octets = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))
        first = f"{first}=BC:24:11:{octets}"
    return ",".join([first, *rest])


def mac_of(net: str) -> str:
    """Return the MAC address of a network card."""
    match = re.search(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", net)
    return match[0] if match else ""


def address_of(config: Config) -> str:
    """Return the static IPv4 address that cloud-init would set, or nothing."""
    text = str(config.get("ipconfig0", ""))
    named = NAMED["pve-qm-ipconfig"]
    ip = str(schema.parse_properties(named, text).get("ip", "")) if isinstance(named, dict) and text else ""
    return ip.partition("/")[0] if "/" in ip else ""


def digest(config: Config) -> str:
    """Return the hash that tells whether somebody else changed the configuration."""
    return hashlib.sha1(json.dumps(config, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def check_digest(guest: Guest, given: Value | None) -> None:
    """Refuse a change that was made for another state of the configuration."""
    if given and given != digest(guest.config):
        raise ApiError(500, "checksum mismatch (file change by other user?)")


def to_delete(parameters: Mapping[str, Value]) -> list[str]:
    """Return the keys that a request deletes."""
    return [key for key in re.split(r"[,;\s]+", str(parameters.get("delete", ""))) if key]


def update(guest: Guest, changes: Config, deleted: list[str], *, running: bool) -> None:
    """Change a guest's configuration; what cannot change while it runs is kept as pending."""
    for key in deleted:
        if key in changes:
            raise ParameterError({"delete": f"Cannot use '{key}' and '-delete {key}' at the same time"})
        if running and key not in LIVE and key in guest.config:
            guest.pending[key] = ""
        else:
            guest.config.pop(key, None)
            guest.pending.pop(key, None)
    for key, value in changes.items():
        if running and key not in LIVE and guest.config.get(key) != value:
            guest.pending[key] = value
        else:
            guest.config[key] = value
            guest.pending.pop(key, None)


def apply_pending(guest: Guest) -> None:
    """Make pending values the configuration; happens at a start."""
    guest.config = with_pending(guest)
    guest.pending = {}


def with_pending(guest: Guest) -> Config:
    """Return the configuration as it will be after the next start."""
    merged = {**guest.config, **{key: value for key, value in guest.pending.items() if value != ""}}
    return {key: value for key, value in merged.items() if guest.pending.get(key) != ""}


def memory_of(config: Config) -> int:
    """Return a guest's memory in MiB; 512 is Proxmox's default."""
    return int(str(config.get("memory", 512)).removeprefix("current=").partition(",")[0])


def cores_of(config: Config) -> int:
    """Return a guest's virtual processors."""
    return int(config.get("cores", 1)) * int(config.get("sockets", 1))


def boot_disk(config: Config) -> str:
    """Return the name of the drive that a guest boots from: the boot order's first, or the first disk."""
    order = re.match(r"order=([a-z0-9;]*)", str(config.get("boot", "")))
    wanted = [name for name in (order[1].split(";") if order else []) if name in config]
    disks = [name for name in [*wanted, *sorted(config)] if DRIVES.fullmatch(name) and not is_cdrom(str(config[name]))]
    return disks[0] if disks else ""


def is_cdrom(drive: str) -> bool:
    """Tell whether a drive is a CD-ROM, as cloud-init's is."""
    return "media=cdrom" in drive or "cloudinit" in drive.partition(",")[0]


def check_lock(guest: Guest) -> None:
    """Refuse to touch a guest that another task works on."""
    if lock := guest.config.get("lock"):
        raise ApiError(500, f"VM is locked ({lock})")
