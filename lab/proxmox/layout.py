"""The cluster's hardware: three nodes and the storages that each of them has."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.proxmox.errors import ApiError

CLUSTER = "lab"
VERSION = "9.1.1"
GIB = 2**30


@dataclass(frozen=True)
class Node:
    """A Proxmox host."""

    name: str
    number: int
    address: str
    """Documentation range (RFC 5737): nothing listens there, the API is on loopback."""
    cores: int = 32
    memory: int = 128 * GIB


@dataclass(frozen=True)
class Storage:
    """A storage, on every node or shared by all."""

    name: str
    type: str
    content: frozenset[str]
    shared: bool
    size: int
    """Bytes."""
    reachable: bool = True
    """What it stands on answers; a server of backups may be away for a moment."""
    prune_backups: str = ""
    """Which of a guest's backups it keeps where a backup does not say itself; empty: all."""

    def volume_key(self, node: str, volid: str) -> str:
        """Return the key of one of its volumes in the cluster's volumes."""
        return f"{'' if self.shared else node}/{volid}"


NODES = {name: Node(name, number, f"192.0.2.{number}") for number, name in enumerate(("pve1", "pve2", "pve3"), 1)}
STORAGES = {
    storage.name: storage
    for storage in (
        Storage(
            "local", "dir", frozenset({"backup", "import", "iso", "snippets", "vztmpl"}), shared=False, size=100 * GIB
        ),
        Storage("local-lvm", "lvmthin", frozenset({"images", "rootdir"}), shared=False, size=1000 * GIB),
        Storage("local-zfs", "zfspool", frozenset({"images", "rootdir"}), shared=False, size=1000 * GIB),
        Storage(
            "shared", "nfs", frozenset({"backup", "images", "import", "iso", "rootdir"}), shared=True, size=4000 * GIB
        ),
    )
}
VNETS: dict[str, str] = {}
"""Virtual networks and the zones that they are in; the lab has none, tests may make some."""


def zone(bridge: str) -> str:
    """Return the zone whose permissions guard a bridge: a VNet's own, or the one that nodes' own bridges are in."""
    return VNETS.get(bridge, "localnetwork")


def node(name: str, nodes: Mapping[str, Node]) -> Node:
    """Return a node; the API cannot look up the address of an unknown one."""
    if name not in nodes:
        raise ApiError(
            500, f"hostname lookup '{name}' failed - failed to get address info for: {name}: Name or service not known"
        )
    return nodes[name]


def storage(name: str) -> Storage:
    """Return a storage."""
    if name not in STORAGES:
        raise ApiError(500, f"storage '{name}' does not exist")
    return STORAGES[name]
