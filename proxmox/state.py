"""The cluster as it is.

One list call for nodes, guests and storages, one each for the quorum, our rights and what HA manages; the bridges of
each node and the configuration of each guest of ours, for which the API has no list over the cluster.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxmox import calls, values
from proxmox.calls import Call
from proxmox.desired import Guest, Template
from proxmox.errors import RefusedError, UnansweredError

Send = Callable[[Call], Any]
"""Sends a request and returns the answer's ``data``."""
_READERS: Final = 16
_LOOKS: Final = 20
_LOOK_AGAIN: Final = 0.7
"""How often, and after how many seconds, a machine is looked for that its own node does not know."""
_IN_THE_MAKING: Final = frozenset({"clone", "create"})
"""Locks of a machine that is not whole yet."""


@dataclass(frozen=True)
class Node:
    """A host of the cluster. ``memory`` in MiB; 0 where the cluster does not know it (the node is off)."""

    online: bool
    cores: int
    memory: int


@dataclass(frozen=True)
class Storage:
    """A storage as one node sees it."""

    content: frozenset[str]
    shared: bool
    available: bool
    size: int = 0
    """Bytes; 0 where the cluster does not tell."""
    used: int = 0


@dataclass(frozen=True)
class Machine:
    """A virtual machine or container of the cluster."""

    vmid: int
    node: str
    name: str | None
    """None for a moment after it was made."""
    kind: str = "qemu"
    running: bool = False
    template: bool = False
    cores: int = 0
    memory: int = 0
    """MiB"""
    tags: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    """Read only for the machines that the inventory names."""

    @property
    def lock(self) -> str | None:
        """What holds the machine, as ``clone`` or ``backup``."""
        lock = self.config.get("lock")
        return str(lock) if lock else None


def is_in_the_making(machine: Machine) -> bool:
    """Tell whether a task still makes a machine: until then it may have no name, or another."""
    return machine.lock in _IN_THE_MAKING


def stranger(machine: Machine, name: str, *, template: bool = False) -> str | None:
    """Return what a machine is, if it is not the one of this name; None where it is, or may still become it."""
    if machine.kind != "qemu":
        return f"the container {machine.name}"
    if machine.name != name and not is_in_the_making(machine):
        return f"the machine {machine.name}" if machine.name else "a machine without a name"
    if machine.template and not template:
        return f"the template {machine.name}"
    return None


@dataclass(frozen=True)
class State:
    """All that a plan looks at."""

    nodes: Mapping[str, Node]
    storages: Mapping[tuple[str, str], Storage]
    """(node, storage) → what it is."""
    machines: Mapping[int, Machine]
    images: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(node, storage) → file names, where a template is still to be made."""
    bridges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Node → bridges that this token may use, of each node that is online."""
    quorate: bool = True
    rights: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Path → privilege → whether it holds below the path too; empty where nothing was read."""
    ha: Mapping[int, str] = field(default_factory=dict)
    """VMID → the state that HA shall keep it in (``started``, ``stopped``, ``disabled``, ``ignored``)."""
    replicas: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """VMID → node that its disks are replicated to → schedule."""
    named: frozenset[int] = frozenset()
    """VMIDs that the inventory names."""

    def is_off(self, node: str) -> bool:
        """Tell whether a node is offline: its guests' configurations cannot be read, and soon their names neither."""
        return node in self.nodes and not self.nodes[node].online

    def is_own(self, node: str, storage: str) -> bool:
        """Tell whether a storage is a node's own, which the others do not see."""
        one = self.storages.get((node, storage))
        return one is not None and not one.shared

    def online(self) -> tuple[str, ...]:
        """Return the nodes that are online, sorted."""
        return tuple(sorted(name for name, node in self.nodes.items() if node.online))


def read(send: Send, guests: Iterable[Guest], templates: Iterable[Template]) -> State:
    """Read what there is, in parallel.

    The configurations of machines that the inventory does not name are read only where it wants one that is not
    there yet, whose addresses could be taken.
    """
    guests, templates = tuple(guests), tuple(templates)
    # Whether we may look at all comes first: without a right, the lists are silently shorter.
    rights = send(calls.permissions())
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        cluster_status, ha, jobs = (
            pool.submit(send, call) for call in (calls.cluster_status(), calls.ha_resources(), calls.replication_jobs())
        )
        nodes, storages, machines, unsure = _inventory(send(calls.resources()))
        named = {guest.vmid for guest in guests} | {template.vmid for template in templates}
        missing = named - machines.keys()
        wanted = {vmid for vmid, found in machines.items() if found.kind == "qemu" and (missing or vmid in named)}
        wanted = {vmid for vmid in wanted if nodes[machines[vmid].node].online}
        read_machines = [pool.submit(_whole, send, machines[vmid], sure=vmid not in unsure) for vmid in sorted(wanted)]
        new = [template for template in templates if template.vmid in missing]
        places = {(template.node, template.image_storage) for template in new} & storages.keys()
        read_images = {key: pool.submit(images, send, *key) for key in places if nodes[key[0]].online}
        read_bridges = {name: pool.submit(_bridges, send, name) for name, node in nodes.items() if node.online}
        machines |= {found.vmid: found for found in (future.result() for future in read_machines) if found}
        return State(
            nodes=nodes,
            storages=storages,
            machines=machines,
            images={key: future.result() for key, future in read_images.items()},
            bridges={node: future.result() for node, future in read_bridges.items()},
            quorate=any(entry.get("quorate") for entry in _cluster_or_alone(cluster_status.result())),
            rights={path: {name: bool(int(below)) for name, below in names.items()} for path, names in rights.items()},
            ha=managed(ha.result()),
            replicas=_replicas(jobs.result()),
            named=frozenset(named),
        )


def managed(entries: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Return VMID → wanted state of what HA lists."""
    return {int(str(entry["sid"]).partition(":")[2]): str(entry.get("state") or "started") for entry in entries}


def _replicas(jobs: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, str]]:
    """Return VMID → target → schedule of the replication jobs that are not switched off."""
    found: dict[int, dict[str, str]] = {}
    for job in jobs:
        if not int(job.get("disable") or 0):
            found.setdefault(int(job["guest"]), {})[str(job["target"])] = str(job.get("schedule") or "*/15")
    return found


def _whole(send: Send, listed: Machine, *, sure: bool) -> Machine | None:
    """Return a listed machine with its configuration; its power is asked for where the list does not know it yet."""
    try:
        return _with_config(send, listed) if sure else machine(send, listed.node, listed.vmid)
    except RefusedError:
        return find(send, listed.vmid, listed.node)


def _cluster_or_alone(entries: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Return the cluster's line of its status; a node without a cluster has none, and decides alone."""
    return [entry for entry in entries if entry.get("type") == "cluster"] or [{"quorate": 1}]


def _inventory(
    entries: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Node], dict[tuple[str, str], Storage], dict[int, Machine], set[int]]:
    """Sort the cluster's list; the last part is the machines that it does not know yet."""
    nodes: dict[str, Node] = {}
    storages: dict[tuple[str, str], Storage] = {}
    machines: dict[int, Machine] = {}
    unsure: set[int] = set()
    for entry in entries:
        match entry.get("type"):
            case "node":
                nodes[entry["node"]] = Node(
                    online=entry.get("status") == "online",
                    cores=int(entry.get("maxcpu") or 0),
                    memory=int(entry.get("maxmem") or 0) >> 20,
                )
            case "storage":
                storages[entry["node"], entry["storage"]] = Storage(
                    content=frozenset(str(entry.get("content") or "").split(",")),
                    shared=bool(entry.get("shared")),
                    available=entry.get("status", "available") == "available",
                    size=int(entry.get("maxdisk") or 0),
                    used=int(entry.get("disk") or 0),
                )
            case "qemu" | "lxc" as kind:
                # For a moment after it was made or started, the list does not know it.
                if entry.get("status") not in {"running", "stopped"}:
                    unsure.add(int(entry["vmid"]))
                machines[int(entry["vmid"])] = Machine(
                    vmid=int(entry["vmid"]),
                    node=entry["node"],
                    name=entry.get("name"),
                    kind=kind,
                    running=entry.get("status") == "running",
                    template=bool(entry.get("template")),
                    cores=int(entry.get("maxcpu") or 0),
                    memory=int(entry.get("maxmem") or 0) >> 20,
                    tags=frozenset(values.tags(str(entry.get("tags") or ""))),
                )
    for found in machines.values():
        nodes.setdefault(found.node, Node(online=False, cores=0, memory=0))
    return nodes, storages, machines, unsure


def find(send: Send, vmid: int, node: str, pause: Callable[[float], None] = time.sleep) -> Machine | None:
    """Read a machine: on the node where it should be, and wherever the cluster has it where it is not there.

    After a move the cluster's list names the old node for some seconds, so a machine that is on none of both is looked
    for until the list has caught up. None where the cluster has no such machine.
    """
    for _ in range(_LOOKS):
        try:
            return machine(send, node, vmid)
        except (RefusedError, UnansweredError) as error:
            there = place(send, vmid)
            if there is None:
                return None
            if there == node and (isinstance(error, UnansweredError) or "does not exist" not in error.reason):
                raise
            node, lost = there, error
        pause(_LOOK_AGAIN)
    raise lost


def place(send: Send, vmid: int) -> str | None:
    """Return the node that the cluster's list names for a virtual machine."""
    for entry in send(calls.resources()):
        if entry.get("type") == "qemu" and int(entry["vmid"]) == vmid:
            return str(entry["node"])
    return None


def machine(send: Send, node: str, vmid: int) -> Machine:
    """Read one machine anew, on the node where it is known to be."""
    running = send(calls.status(node, vmid)).get("status") == "running"
    return _with_config(send, Machine(vmid=vmid, node=node, name=None, running=running))


def _with_config(send: Send, found: Machine) -> Machine:
    """Return the machine with its configuration, whose name and template mark are newer than the cluster's list."""
    config = send(calls.config(found.node, found.vmid))
    return replace(
        found,
        name=config.get("name"),
        template=bool(int(config.get("template") or 0)),
        cores=int(config.get("cores") or 1) * int(config.get("sockets") or 1),
        memory=int(str(values.normal("memory", config.get("memory")))),
        tags=frozenset(values.tags(str(config.get("tags") or ""))),
        config=config,
    )


def images(send: Send, node: str, storage: str) -> frozenset[str]:
    """Return the names of the images that a storage holds: a volume is ``storage:import/name``."""
    return frozenset(str(entry["volid"]).rsplit("/", 1)[-1] for entry in send(calls.content(node, storage, "import")))


def _bridges(send: Send, node: str) -> frozenset[str]:
    return frozenset(str(entry["iface"]) for entry in send(calls.bridges(node)))
