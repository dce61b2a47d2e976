"""The cluster as it is: one list call for nodes, guests and storages, and the configuration of each guest of ours."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from proxmox import calls
from proxmox.calls import Call
from proxmox.desired import Guest, Template

Send = Callable[[Call], Any]
"""Sends a request and returns the answer's ``data``."""


@dataclass(frozen=True)
class Node:
    """A host of the cluster. ``memory`` in MiB."""

    online: bool
    cores: int
    memory: int


@dataclass(frozen=True)
class Storage:
    """A storage as one node sees it."""

    content: frozenset[str]
    shared: bool
    available: bool


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
    config: Mapping[str, Any] = field(default_factory=dict)
    """Read only for the machines that the inventory names."""

    @property
    def lock(self) -> str | None:
        """What holds the machine, as ``clone`` or ``backup``."""
        lock = self.config.get("lock")
        return str(lock) if lock else None


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
    """Node → bridges, where a machine is still to be made."""


def read(send: Send, guests: Iterable[Guest], templates: Iterable[Template]) -> State:
    """Read what there is, in parallel. Looks only where something of the inventory is or will be."""
    guests, templates = tuple(guests), tuple(templates)
    nodes: dict[str, Node] = {}
    storages: dict[tuple[str, str], Storage] = {}
    machines: dict[int, Machine] = {}
    unsure: set[int] = set()
    for entry in send(calls.resources()):
        match entry.get("type"):
            case "node":
                nodes[entry["node"]] = Node(
                    online=entry.get("status") == "online",
                    cores=int(entry.get("maxcpu") or 0),
                    memory=int(entry.get("maxmem") or 0) >> 20,
                )
            case "storage":
                content = frozenset(str(entry.get("content") or "").split(","))
                available = entry.get("status", "available") == "available"
                storages[entry["node"], entry["storage"]] = Storage(content, bool(entry.get("shared")), available)
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
                )
    named = {guest.vmid for guest in guests} | {template.vmid for template in templates}
    known = [machine for vmid, machine in machines.items() if vmid in named and machine.kind == "qemu"]
    missing_templates = [template for template in templates if template.vmid not in machines]
    wanted_images = {(template.node, template.image_storage) for template in missing_templates} & storages.keys()
    places = [(guest.vmid, guest.node) for guest in guests]
    places += [(template.vmid, template.node) for template in templates]
    wanted_bridges = {node for vmid, node in places if vmid not in machines} & nodes.keys()
    with ThreadPoolExecutor(max_workers=8) as pool:
        read_machines = [
            pool.submit(machine, send, found.node, found.vmid)
            if found.vmid in unsure
            else pool.submit(_with_config, send, found)
            for found in known
        ]
        read_images = {key: pool.submit(images, send, *key) for key in wanted_images}
        read_bridges = {node: pool.submit(_bridges, send, node) for node in wanted_bridges if nodes[node].online}
        machines |= {found.vmid: found for found in (future.result() for future in read_machines)}
        return State(
            nodes=nodes,
            storages=storages,
            machines=machines,
            images={key: future.result() for key, future in read_images.items()},
            bridges={node: future.result() for node, future in read_bridges.items()},
        )


def machine(send: Send, node: str, vmid: int) -> Machine:
    """Read one machine anew, on the node where it is known to be."""
    running = send(calls.status(node, vmid)).get("status") == "running"
    return _with_config(send, Machine(vmid=vmid, node=node, name=None, running=running))


def _with_config(send: Send, found: Machine) -> Machine:
    """Return the machine with its configuration, whose name and template mark are newer than the cluster's list."""
    config = send(calls.config(found.node, found.vmid))
    return replace(found, name=config.get("name"), template=bool(int(config.get("template") or 0)), config=config)


def images(send: Send, node: str, storage: str) -> frozenset[str]:
    """Return the names of the images that a storage holds: a volume is ``storage:import/name``."""
    return frozenset(str(entry["volid"]).rsplit("/", 1)[-1] for entry in send(calls.images(node, storage)))


def _bridges(send: Send, node: str) -> frozenset[str]:
    return frozenset(str(entry["iface"]) for entry in send(calls.bridges(node)))
