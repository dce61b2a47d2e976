"""What the stand-in's cluster consists of, kept in one JSON file that is replaced atomically after each change."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.proxmox import layout

Config = dict[str, str | int | float]
"""A guest's configuration as the API shows it: ``{"cores": 4, "net0": "virtio=…,bridge=vmbr0"}``."""


@dataclass
class Guest:
    """A virtual machine or a template."""

    vmid: int
    node: str
    config: Config
    created: float
    """Seconds since the epoch."""
    pending: Config = field(default_factory=dict)
    """Values that take effect at the next start; the empty string deletes."""
    has_container: bool = False
    """It was started once: from then on a container is its disk."""

    snapshots: dict[str, Config] = field(default_factory=dict)
    """Configurations by snapshot, each with its ``snaptime``."""
    moved: float = 0.0
    """When it last came to another node: the status daemon needs a moment to see it there."""
    left: str = ""
    """The node that it came from."""

    @property
    def name(self) -> str:
        """Its name; Proxmox calls a nameless one ``VM 100``."""
        return str(self.config.get("name", f"VM {self.vmid}"))

    @property
    def is_template(self) -> bool:
        """Whether it can be cloned but not started."""
        return bool(self.config.get("template"))


@dataclass
class Volume:
    """A disk, a cloud-init drive or an imported file on a storage."""

    volid: str
    """``local-lvm:vm-100-disk-0``."""
    node: str
    """Empty on a shared storage."""
    size: int
    """Bytes."""
    content: str
    format: str
    created: float
    vmid: int = 0
    image: str = ""
    """The container image that holds the disk's content; ``cloud`` is the lab's base image, empty an empty disk."""
    parent: str = ""
    """The base volume that a linked clone hangs on."""
    config: Config = field(default_factory=dict)
    """Of a backup: the guest's configuration in it."""
    notes: str = ""
    protected: bool = False

    @property
    def storage(self) -> str:
        """The storage's name."""
        return self.volid.partition(":")[0]


@dataclass
class Task:
    """A piece of work that a request started."""

    upid: str
    node: str
    type: str
    id: str
    user: str
    pid: int
    pstart: int
    starttime: int
    endtime: int = 0
    exitstatus: str = ""
    """Empty while it runs; ``OK``, ``WARNINGS: n`` or the error."""
    log: list[str] = field(default_factory=list)


@dataclass
class Grant:
    """A role that a user or token has on a path and below."""

    path: str
    who: str
    role: str


@dataclass
class Cluster:
    """Everything that survives a restart."""

    guests: dict[int, Guest] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    """By node (empty where shared) and volume ID: ``pve1/local:import/debian-13.qcow2``."""
    tasks: list[Task] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the tokens' secrets and the users' passwords, by ``user@realm!token`` and ``user@realm``."""
    grants: list[Grant] = field(default_factory=list)
    ha: dict[str, Config] = field(default_factory=dict)
    """HA resources by their ID (``vm:100``)."""
    rules: dict[str, Config] = field(default_factory=dict)
    """HA rules by their name."""
    lost: dict[str, float] = field(default_factory=dict)
    """Nodes without power, and since when (seconds since the epoch)."""
    replication: dict[str, Config] = field(default_factory=dict)
    """Replication jobs by their ID (``101-0``): guest, target, ``last_sync`` (seconds since the epoch)."""
    jobs: dict[str, Config] = field(default_factory=dict)
    """Backup jobs by their ID, each with ``since``: the moment that its next run is reckoned from."""
    ticket_key: str = ""
    """Signs tickets and CSRF tokens."""


KEPT_TASKS = 1000


class Store:
    """The cluster and its file; its nodes are the lab's, or those that it is given."""

    def __init__(self, file: Path, nodes: Mapping[str, layout.Node] | None = None) -> None:
        self._file = file
        self._nodes = nodes
        self.tunnels: dict[str, Any] = {}
        """Guests on their way in from another cluster, by the tickets of their tunnels; not kept."""
        self.cluster = from_json(json.loads(file.read_text())) if file.is_file() else Cluster()

    @property
    def folder(self) -> Path:
        """Where its file lies, beside its certificate."""
        return self._file.parent

    @property
    def nodes(self) -> Mapping[str, layout.Node]:
        """Its nodes by their names."""
        return layout.NODES if self._nodes is None else self._nodes

    def node(self, name: str) -> layout.Node:
        """Return a node. Raises :class:`ApiError` for an unknown one."""
        return layout.node(name, self.nodes)

    def save(self) -> None:
        """Write the cluster; a reader or a crash sees the old file or the new one."""
        del self.cluster.tasks[:-KEPT_TASKS]
        new = self._file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self.cluster), file, indent=1)
        new.replace(self._file)


def from_json(data: Mapping[str, Any]) -> Cluster:
    """Return the cluster that :meth:`Store.save` wrote."""
    return Cluster(
        guests={int(vmid): Guest(**guest) for vmid, guest in data["guests"].items()},
        volumes={key: Volume(**volume) for key, volume in data["volumes"].items()},
        tasks=[Task(**task) for task in data["tasks"]],
        secrets=dict(data["secrets"]),
        grants=[Grant(**grant) for grant in data["grants"]],
        ha=dict(data["ha"]),
        rules=dict(data["rules"]),
        lost=dict(data.get("lost", {})),
        replication=dict(data.get("replication", {})),
        jobs=dict(data.get("jobs", {})),
        ticket_key=data["ticket_key"],
    )
