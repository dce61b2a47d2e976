"""Whether the cluster holds what the inventory promises: each node now, and the others after any one node's loss. Pure.

What is found here can be overridden by ``--overcommit``: it is no fault of the inventory's, but a risk that somebody
has to take knowingly.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from proxmox import placement
from proxmox.desired import Cluster, Guest
from proxmox.placement import Load, Room
from proxmox.state import State

_OVERRIDE = "or take the risk with --overcommit"
Disk = tuple[str, str, int]
"""A disk that comes to a node: that node, its storage there, and its bytes."""


def risks(cluster: Cluster, state: State, *, move: bool = False) -> list[str]:
    """Return a sentence with the figures for everything that is promised twice; ``move``: after guests were moved."""
    held = rooms(cluster, state, move=move)
    # What cannot be right at all has a sentence of its own; figures about it would only hide that.
    return [*_overfull(held), *_apart(held), *full(_coming(cluster, state, move=move), state), *_spare(held)]


def rooms(cluster: Cluster, state: State, *, move: bool = False) -> dict[str, Room]:
    """Return the nodes that are online with what is or will be on them, guests of other owners included."""
    found = {name: placement.room(state.nodes[name].cores, state.nodes[name].memory) for name in state.online()}
    ours = {guest.vmid: guest for guest in cluster.guests}
    for guest in cluster.guests:
        machine = state.machines.get(guest.vmid)
        node = machine.node if machine and not move else guest.node
        if node in found:
            found[node].loads.append(load(guest, state))
    for machine in state.machines.values():
        if machine.vmid in ours or machine.template or machine.node not in found:
            continue
        if machine.vmid in state.ha:
            name = f"{machine.name or 'a machine'} ({machine.vmid})"
            found[machine.node].loads.append(
                Load(name, machine.cores, machine.memory, candidates=frozenset(state.online()))
            )
        elif machine.running:
            found[machine.node].memory -= machine.memory
    return found


def load(guest: Guest, state: State) -> Load:
    """Return what a guest takes, with the nodes that have its storage and its bridge."""
    return Load(guest.name, guest.size.cores, guest.size.memory, guest.groups, candidates(guest, state))


def candidates(guest: Guest, state: State) -> frozenset[str]:
    """Return the nodes that are online and have a guest's storage and bridge."""
    return frozenset(
        node
        for node in state.online()
        if (storage := state.storages.get((node, guest.storage))) is not None
        and storage.available
        and "images" in storage.content
        and guest.bridge in state.bridges.get(node, {guest.bridge})
    )


def _overfull(held: dict[str, Room]) -> Iterator[str]:
    for node, one in sorted(held.items()):
        taken = one.memory - one.free
        if one.free < 0:
            yield (
                f"node {node}: its guests ({_names(one)}) take {taken} MiB of memory and it has {one.memory} MiB for "
                f"guests: place some on other nodes (proxmox_node), {_OVERRIDE}"
            )
        elif one.free_cores < 0:
            yield (
                f"node {node}: its guests ({_names(one)}) take {one.cores * placement.OVERCOMMIT - one.free_cores} "
                f"cores and {placement.OVERCOMMIT} times {one.cores} are there: place some on other nodes, {_OVERRIDE}"
            )


def _apart(held: dict[str, Room]) -> Iterator[str]:
    if close := placement.crowded(held, len(held)):
        yield f"guests of one function group stand too close: {close}: place them apart (proxmox_node), {_OVERRIDE}"


def _coming(cluster: Cluster, state: State, *, move: bool) -> Iterator[Disk]:
    for guest in cluster.guests:
        machine = state.machines.get(guest.vmid)
        if machine is None or (move and machine.node != guest.node and brings_disk(guest, guest.node, state)):
            yield disk(guest, guest.node)


def brings_disk(guest: Guest, node: str, state: State) -> bool:
    """Tell whether a guest brings its disk to a node: it is on storage of that node's own, and no replica is there."""
    return state.is_own(node, guest.storage) and node not in state.replicas.get(guest.vmid, {})


def disk(guest: Guest, node: str) -> Disk:
    """Return what a guest's disk takes on the storage that it has on a node."""
    return node, guest.storage, guest.size.disk << 30


def full(coming: Iterable[Disk], state: State) -> Iterator[str]:
    """Return a sentence with the figures for each storage that has no room for the disks that come."""
    wanted: Counter[tuple[str, str]] = Counter()
    for node, name, size in coming:
        wanted["" if not state.is_own(node, name) else node, name] += size
    for (node, name), size in sorted(wanted.items()):
        seen = (one for (on, called), one in sorted(state.storages.items()) if called == name and node in ("", on))
        storage = next(seen, None)
        if storage is not None and storage.size and size > (free := storage.size - storage.used):
            yield (
                f"storage {name}{f' of {node}' if node else ''}: the disks that would come take {size >> 30} GiB and "
                f"{max(0, free) >> 30} GiB are free: make room, set proxmox_storage, {_OVERRIDE}"
            )


def _spare(held: dict[str, Room]) -> Iterator[str]:
    for shortage in placement.shortages(held):
        yield (
            f"the loss of node {shortage.node} would leave {', '.join(shortage.guests)} without a place "
            f"({shortage.reason}): add room or a node, {_OVERRIDE}"
        )


def _names(one: Room) -> str:
    return ", ".join(sorted(load.name for load in one.loads))
