"""What the API token needs, on which path and for what; and which of it is missing. Pure.

Sources: the permissions in the API's schema, and for what a request's content needs (a bridge, an option, a storage)
the documentation of ``qm`` and ``pveum``. ``tests/contract/proxmox/test_rights.py`` proves that the list suffices and
that nothing of it can go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxmox.desired import Cluster

CONFIGURE: Final = ("VM.Config.CPU", "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network")
GUEST: Final = ("VM.Allocate", "VM.Audit", *CONFIGURE, "VM.Config.Options", "VM.PowerMgmt")
"""For ``plan`` and ``apply``, on a guest and on the template, which besides needs ``VM.Clone``."""
NEW: Final = "/vms/<new number>"
"""Stands for a number that is not known before: what holds there is what `/vms` or a path above it hands down."""
OPERATIONS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "clone": (("/vms/{vmid}", "VM.Clone"),),
    "migrate": (("/vms/{vmid}", "VM.Migrate"), ("/", "Sys.Console")),
    "backup": (
        ("/vms/{vmid}", "VM.Backup"),
        ("/storage/{backup}", "Datastore.AllocateSpace"),
        ("/storage/{backup}", "Datastore.Audit"),
    ),
    "new": tuple((NEW, privilege) for privilege in GUEST),
    "schedule": (("/", "Sys.Modify"), ("/storage/{backup}", "Datastore.Allocate")),
    "failover": (("/", "Sys.Console"),),
    "arrive": (("/", "Sys.Incoming"), ("/vms/{vmid}", "VM.Config.CDROM"), ("/vms/{vmid}", "VM.Config.Cloudinit")),
}
"""What operations need beyond that, of the guests that they are for (``clone``: the copied one): path and privilege.

High availability is steered with ``Sys.Console`` on ``/``. Who may not back a guest up is shown none of its backups,
and told nothing of that: a restore needs what made them.
"""

_ZONES: Final = "/sdn/zones/"
_OWN_BRIDGES: Final = f"{_ZONES}localnetwork/"


@dataclass(frozen=True)
class Right:
    """A privilege on a path."""

    path: str
    privilege: str


def needed(cluster: Cluster, operations: tuple[str, ...] = ()) -> frozenset[Right]:
    """Return all that a token needs for ``plan`` and ``apply``, and for the operations that are named."""
    return frozenset(_needed(cluster, operations))


def _needed(cluster: Cluster, operations: tuple[str, ...]) -> Iterator[Right]:
    yield Right("/", "Sys.Audit")
    for guest in cluster.guests:
        yield from (Right(f"/vms/{guest.vmid}", privilege) for privilege in GUEST)
        yield from _storage(guest.storage)
        yield Right(bridge_path(guest.bridge, guest.vlan), "SDN.Use")
        for operation in operations:
            for path, privilege in OPERATIONS[operation]:
                yield Right(path.format(vmid=guest.vmid, backup=guest.backup_storage or guest.storage), privilege)
    for template in cluster.templates:
        yield from (Right(f"/vms/{template.vmid}", privilege) for privilege in (*GUEST, "VM.Clone"))
        yield from _storage(template.storage)
        yield Right(f"/storage/{template.image_storage}", "Datastore.AllocateTemplate")
        yield Right(f"/storage/{template.image_storage}", "Datastore.Audit")
        yield Right(f"/nodes/{template.node}", "Sys.AccessNetwork")
        yield Right(bridge_path(template.bridge, None), "SDN.Use")


def _storage(name: str) -> Iterator[Right]:
    yield Right(f"/storage/{name}", "Datastore.AllocateSpace")
    yield Right(f"/storage/{name}", "Datastore.Audit")


def bridge_path(bridge: str, vlan: int | None) -> str:
    """Return the path that guards a node's own bridge; a VNet's has its zone in place of ``localnetwork``."""
    return f"{_OWN_BRIDGES}{bridge}{f'/{vlan}' if vlan else ''}"


def missing(wanted: frozenset[Right], had: Mapping[str, Mapping[str, bool]]) -> list[Right]:
    """Return what is not granted, sorted; ``had`` is path → privilege → whether it holds below.

    A path that is not listed has what the nearest one above hands down.
    """
    lacking = (right for right in wanted if not _has(right, had))
    return sorted(lacking, key=lambda right: (right.path, right.privilege))


def _has(right: Right, had: Mapping[str, Mapping[str, bool]]) -> bool:
    return any(_granted(path, right.privilege, had) for path in _alternatives(right.path, had))


def _alternatives(path: str, had: Mapping[str, Mapping[str, bool]]) -> Iterator[str]:
    """Return the paths of which one is enough.

    Which zone a VNet is in, only who may audit it can read, so any zone that the token has something in will do: the
    list of a node's bridges, which has what the token may see alone, is looked at besides.
    """
    yield path
    if path.startswith(_OWN_BRIDGES):
        zones = {listed.split("/")[3] for listed in had if listed.startswith(_ZONES)}
        yield from (f"{_ZONES}{zone}/{path.removeprefix(_OWN_BRIDGES)}" for zone in sorted(zones))


def _granted(path: str, privilege: str, had: Mapping[str, Mapping[str, bool]]) -> bool:
    if path in had:
        return privilege in had[path]
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in had:
            return had[path].get(privilege, False)
    return False
