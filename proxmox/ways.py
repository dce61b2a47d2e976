"""How each guest of a dead node comes back: the quickest way that works, and what is lost by it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from proxmox import adopt, backups, converge, placement, plan, spare, takeover
from proxmox.backups import Archive
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError
from proxmox.session import Session
from proxmox.state import Machine, State

TAG: Final = "centralino-failover"
"""Of a restored guest until it is configured: a run that is killed in between is taken up."""


class Way(StrEnum):
    """How a guest comes back, the quickest first."""

    HA = "HA adopts it"
    SHARED = "its disk is shared: given to HA"
    REPLICA = "replicated disk: given to HA on the replica's node"
    SHARED_TAKEN = "its disk is shared: taken over"
    REPLICA_TAKEN = "replicated disk: taken over on the replica's node"
    COPY = "taken up where an earlier run left it"
    BACKUP = "newest backup"
    CLONE = "made anew from the golden image"


@dataclass(frozen=True)
class Rescue:
    """A lost guest and what is done about it. Times in seconds."""

    guest: Guest
    way: Way
    target: str
    """The node it goes to; where HA chooses, the one that it is reckoned to fit on."""
    vmid: int
    lost: float | None
    """How much of its data is lost (RPO): the age of what it comes back from; None where no figure says it."""
    archive: Archive | None = None
    schedule: str = ""
    """How often its replica is brought up to date; when it last was, only the dead node knew."""
    replicas: frozenset[str] = frozenset()
    """The living nodes that have a replica of it."""
    took: float = 0.0
    """From the node's death, or from the command where nobody told its time, to the service's first answer (RTO)."""
    node: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()


def decide(opened: Session, found: State, node: str, began: float) -> list[Rescue]:
    """Return what is done for each lost guest; a guest that is back under another number already is taken up."""
    there = {vmid for vmid, machine in found.machines.items() if machine.node == node}
    # What a run that was cut off has given to HA may be on a living node by now, and nobody starts it there.
    displaced = _displaced(opened, found, node)
    lost = [guest for guest in opened.whole.guests if guest.vmid in there or guest in displaced]
    rooms, targets = _places(opened, found, node, lost)
    taken = _taken(opened, found, node)
    adopted = [(guest, on) for guest, on in _adopted(opened, found, node) if found.nodes[on].online]
    shelves = _Shelves(opened, found, node)
    next_free = backups.free_vmid(opened.whole, found)
    rescues = []
    for guest in lost:
        copy, schedule = _copy(opened, guest, found), ""
        living = {on: often for on, often in found.replicas.get(guest.vmid, {}).items() if found.nodes[on].online}
        target, vmid, own, error = targets[guest.name], guest.vmid, None, ""
        by_hook = opened.whole.takeover_hook is not None and guest.vmid not in found.ha
        if copy is not None:
            way, age, target, vmid = Way.COPY, None, copy.node, copy.vmid
        elif guest not in displaced and _is_shared(guest, found, node):
            shared = Way.SHARED_TAKEN if by_hook else Way.SHARED
            way, age = Way.HA if found.ha.get(guest.vmid) == "started" else shared, 0.0
        elif guest not in displaced and living:
            way, (target, schedule) = Way.REPLICA_TAKEN if by_hook else Way.REPLICA, min(living.items())
            age = None
        elif error := shelves.unread(guest):
            way, age = Way.BACKUP, None
        else:
            own = shelves.newest(guest)
            way, age, vmid = (Way.BACKUP, began - own.made, next_free) if own else (Way.CLONE, None, next_free)
            next_free += 1
            if own is None:
                guest, target, error = _mould(opened, found, guest, target, rooms)  # noqa: PLW2901
            elif target not in backups.reached_from(found, own):
                target = own.node
        rescues.append(Rescue(guest, way, target, vmid, age, own, schedule, frozenset(living), error=error))
    for guest in taken:
        way, age = (Way.SHARED_TAKEN, 0.0) if _is_shared(guest, found, node) else (Way.REPLICA_TAKEN, None)
        there_now = found.machines[guest.vmid].node
        schedule = found.replicas.get(guest.vmid, {}).get(there_now, "")
        rescues.append(Rescue(guest, way, there_now, guest.vmid, age, schedule=schedule))
    for guest, on in adopted:
        way, age = (Way.HA, 0.0) if _is_shared(guest, found, node) else (Way.REPLICA, None)
        schedule = found.replicas.get(guest.vmid, {}).get(on, "as its job says")
        rescues.append(Rescue(guest, way, on, guest.vmid, age, schedule=schedule, replicas=frozenset({on})))
    return rescues


def _places(
    opened: Session, found: State, dead: str, lost: list[Guest]
) -> tuple[dict[str, placement.Room], dict[str, str]]:
    """Return a node for each lost guest, and the living nodes with what is and will be on them."""
    rooms = {name: one for name, one in spare.rooms(opened.whole, found).items() if name != dead}
    targets = placement.place([spare.load(guest, found) for guest in lost], rooms)
    if targets is None:
        if not opened.options.overcommit:
            short = placement.shortages({**rooms, dead: placement.Room(0, 0, [spare.load(one, found) for one in lost])})
            reason = next((one.reason for one in short if one.node == dead), "they do not fit")
            raise ProvisionerError(
                f"the other nodes cannot hold what {dead} lost: {reason}: shut down what can be spared, or "
                "squeeze them in with --overcommit"
            )
        targets = {guest.name: min(spare.candidates(guest, found), default="") for guest in lost}
    for guest in lost:
        if targets[guest.name]:
            rooms[targets[guest.name]].loads.append(spare.load(guest, found))
    return rooms, targets


def _mould(
    opened: Session, found: State, guest: Guest, target: str, rooms: dict[str, placement.Room]
) -> tuple[Guest, str, str]:
    """Return a guest with a template that is alive, and the node where it can be made from that: ``target``, if it can.

    What the dead node has of templates is lost with it, and nothing is cloned to or from another node's own storage.
    The last part says why a guest cannot be made anew anywhere.
    """
    there = ((one, found.machines.get(one.vmid)) for one in opened.whole.templates)
    alive = [(one, found_one) for one, found_one in there if found_one and found_one.template and found_one.config]
    alive.sort(key=lambda pair: pair[0] != guest.template)
    load = spare.load(guest, found)
    if target:
        rooms[target].loads.remove(load)
    for node in sorted(load.candidates & rooms.keys(), key=lambda name: (name != target, -rooms[name].free, name)):
        if node != target and not rooms[node].takes(load) and not opened.options.overcommit:
            continue
        for template, machine in alive:
            places = ((machine.node, plan.storage_of(machine)), (node, guest.storage))
            if machine.node == node or not any(found.is_own(*place) for place in places):
                rooms[node].loads.append(load)
                return replace(guest, template=replace(template, node=machine.node)), node, ""
    why = (
        f"{guest.name}: it would be made anew, and no golden template that is alive can be cloned to a node with room "
        f"for it: make one on such a node (proxmox_template_node and proxmox_template_vmid of {guest.name}, then "
        "`python -m proxmox template`), then run again"
    )
    return guest, target, why


class _Shelves:
    """The backups of the lost guests, read when somebody needs one; and whether they could be."""

    def __init__(self, opened: Session, found: State, dead: str) -> None:
        self._opened = opened
        self._found = found
        self._dead = dead
        self._read: dict[str, tuple[list[Archive], str]] = {}

    def newest(self, guest: Guest) -> Archive | None:
        """Return a guest's newest backup, on whichever of the inventory's storages."""
        read = [self._on(storage)[0] for storage in backups.storages(self._opened.whole)]
        own = [archive for shelf in read for archive in shelf if archive.vmid == guest.vmid]
        return max(own, key=lambda archive: archive.made, default=None)

    def unread(self, guest: Guest) -> str:
        """Return why nobody can say whether a guest has a backup; it is then not to be made anew, empty."""
        storage = guest.backup_storage
        if not storage:
            return ""
        why = self._on(storage)[1]
        own = self._found.storages.get((self._dead, storage))
        if not why and own and not own.shared and self.newest(guest) is None:
            why = f"{self._dead}'s own went with it"
        if not why:
            return ""
        return (
            f"{guest.name}: its backups on {storage} cannot be read ({why}), and without them it would be made anew, "
            "empty: bring that storage back, then run again; or, where it has none for sure, take "
            f"proxmox_backup_storage from it ({guest.where['proxmox_backup_storage']})"
        )

    def _on(self, storage: str) -> tuple[list[Archive], str]:
        if storage not in self._read:
            self._read[storage] = backups.shelf(self._opened, self._found, storage)
        return self._read[storage]


def _is_shared(guest: Guest, found: State, dead: str) -> bool:
    """Tell whether a living node has a guest's storage, and it is one that all of them share."""
    alive = (one for (on, name), one in found.storages.items() if name == guest.storage and on != dead)
    return any(one.shared for one in alive)


def _taken(opened: Session, found: State, dead: str) -> list[Guest]:
    """Return the guests that a run which was cut off has taken to a living node: nobody else starts them."""
    return [guest for guest, node in _begun(opened, found, dead) if found.nodes[node].online]


def stranded(opened: Session, found: State, dead: str) -> list[str]:
    """Return a sentence for each guest that such a run has taken to a node which died since: that one needs a proof."""
    return [
        f"{guest.name}: an earlier run took it over to {node}, which is offline by now: `python -m proxmox failover "
        f"{node}` brings it back"
        for guest, node in (*_begun(opened, found, dead), *_adopted(opened, found, dead))
        if not found.nodes[node].online
    ]


def _begun(opened: Session, found: State, dead: str) -> list[tuple[Guest, str]]:
    """Return the guests whose takeover was begun and that lie on another node, with that node."""
    begun = takeover.begun(opened) & found.machines.keys()
    places = [(guest, found.machines[guest.vmid].node) for guest in opened.whole.guests if guest.vmid in begun]
    return [(guest, node) for guest, node in places if node != dead]


def _steered(opened: Session, found: State, dead: str, states: frozenset[str]) -> list[tuple[Guest, str]]:
    """Return the guests, with their node, that such a run has steered HA for, that left the dead node and do not run.

    ``states`` are those in which HA keeps them.
    """
    steered = (adopt.begun(opened) - takeover.begun(opened)) & found.machines.keys()
    places = [(guest, found.machines[guest.vmid]) for guest in opened.whole.guests if guest.vmid in steered]
    return [
        (guest, machine.node)
        for guest, machine in places
        if machine.node != dead and not machine.running and found.ha.get(guest.vmid) in states
    ]


def _adopted(opened: Session, found: State, dead: str) -> list[tuple[Guest, str]]:
    """Return the guests that HA has moved for such a run, and has not started yet."""
    return _steered(opened, found, dead, frozenset({"started"}))


def _displaced(opened: Session, found: State, dead: str) -> list[Guest]:
    """Return the guests whose original HA has moved to where its disk is not: they come back as a copy alone."""
    return [guest for guest, _ in _steered(opened, found, dead, frozenset({"disabled", "ignored"}))]


def _copy(opened: Session, guest: Guest, found: State) -> Machine | None:
    """Return the machine that an earlier run of this command made for a lost guest.

    What somebody restored beside the guest to look into, maybe from an old backup, does not start with its node and
    has not the tag: it is not the guest.
    """
    for machine in found.machines.values():
        alive = found.nodes[machine.node].online
        if machine.name != guest.name or machine.vmid == guest.vmid or not alive or "centralino" not in machine.tags:
            continue
        whole = converge.look(opened.api, machine.vmid, machine.node)
        if whole and (TAG in whole.tags or str(whole.config.get("onboot")) != "0"):
            return whole
    return None
