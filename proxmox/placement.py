"""Which node holds which guest: capacity, anti-affinity, and the proof that any one node may be lost. Pure.

Memory is never promised twice and a guest needs as many cores as its node has at most; processors are shared, up to
``OVERCOMMIT`` virtual ones on each. Guests of one function group are kept apart: of k guests, no node of n gets more
than ⌈k/n⌉, so the loss of one node takes as few of a group as can be.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

RESERVE: Final = 2048
"""MiB of a node's memory that are its own."""
OVERCOMMIT: Final = 4
"""Virtual cores on one of a node's."""
_TRIES: Final = 20_000
"""How many placements are looked at before a puzzle is given up; hundreds of guests need hundreds."""


@dataclass(frozen=True)
class Load:
    """What a guest takes, and where it may be."""

    name: str
    cores: int
    memory: int
    """MiB"""
    groups: frozenset[str] = frozenset()
    candidates: frozenset[str] = frozenset()
    """Nodes that have its storage and its bridge."""


@dataclass
class Room:
    """What a node has, and what is on it."""

    cores: int
    memory: int
    """MiB, without the node's own."""
    loads: list[Load] = field(default_factory=list)

    @property
    def free(self) -> int:
        """MiB that no guest was promised."""
        return self.memory - sum(load.memory for load in self.loads)

    @property
    def free_cores(self) -> int:
        """Virtual cores that no guest was promised."""
        return self.cores * OVERCOMMIT - sum(load.cores for load in self.loads)

    def takes(self, load: Load) -> bool:
        """Tell whether a guest fits."""
        return load.memory <= self.free and load.cores <= min(self.cores, self.free_cores)


@dataclass(frozen=True)
class Shortage:
    """Guests that the rest of the cluster cannot hold when a node is lost."""

    node: str
    guests: tuple[str, ...]
    reason: str


def room(cores: int, memory: int) -> Room:
    """Return the room of an empty node."""
    return Room(cores, max(0, memory - RESERVE))


def place(lost: Iterable[Load], rooms: Mapping[str, Room]) -> dict[str, str] | None:
    """Return a node for each guest, or None where they do not fit; ``rooms`` keep what is on them.

    The largest first, each on the node with the fewest of its groups and then the most memory; where that ends in a
    corner, other nodes are tried.
    """
    loads = sorted(lost, key=lambda load: (-load.memory, len(load.candidates), load.name))
    crowd = Counter(group for one in (*loads, *_all(rooms)) for group in one.groups)
    limits = {group: -(-count // max(1, len(rooms))) for group, count in crowd.items()}
    state = {name: Room(one.cores, one.memory, list(one.loads)) for name, one in rooms.items()}
    search = _Search(loads, state, limits)
    return search.chosen if search.fill() else None


class _Search:
    """A search in depth for a place for every guest."""

    def __init__(self, loads: list[Load], rooms: dict[str, Room], limits: Mapping[str, int]) -> None:
        self.chosen: dict[str, str] = {}
        self._loads = loads
        self._rooms = rooms
        self._limits = limits
        self._tries = _TRIES

    def fill(self) -> bool:
        """Place the guests that have no place yet; tell whether all have one."""
        if len(self.chosen) == len(self._loads):
            return True
        load = self._loads[len(self.chosen)]
        for node in _by_preference(load, self._rooms, self._limits):
            self._tries -= 1
            if self._tries < 0:
                return False
            self._rooms[node].loads.append(load)
            self.chosen[load.name] = node
            if self.fill():
                return True
            self._rooms[node].loads.remove(load)
            del self.chosen[load.name]
        return False


def _by_preference(load: Load, rooms: Mapping[str, Room], limits: Mapping[str, int]) -> list[str]:
    fitting = [
        name
        for name, one in rooms.items()
        if name in load.candidates and one.takes(load) and not _crowded(load, one, limits)
    ]
    return sorted(fitting, key=lambda name: (_together(load, rooms[name]), -rooms[name].free, name))


def _crowded(load: Load, one: Room, limits: Mapping[str, int]) -> bool:
    return any(sum(group in other.groups for other in one.loads) >= limits[group] for group in load.groups)


def _together(load: Load, one: Room) -> int:
    return sum(len(load.groups & other.groups) for other in one.loads)


def _all(rooms: Mapping[str, Room]) -> Iterator[Load]:
    for one in rooms.values():
        yield from one.loads


def shortages(rooms: Mapping[str, Room]) -> list[Shortage]:
    """Return, for each node whose loss the others cannot make up for, which guests would stay lost and why."""
    found = []
    for node, one in sorted(rooms.items()):
        rest = {name: other for name, other in rooms.items() if name != node}
        if one.loads and place(one.loads, rest) is None:
            found.append(Shortage(node, _left_over(one.loads, rest), _why(one.loads, rest)))
    return found


def _left_over(lost: Collection[Load], rest: Mapping[str, Room]) -> tuple[str, ...]:
    """Return the guests that find no place, as few as taking the smallest first gives; all where each alone would."""
    kept: list[Load] = []
    left: list[str] = []
    for load in sorted(lost, key=lambda load: (load.memory, load.name)):
        if place([*kept, load], rest) is None:
            left.append(load.name)
        else:
            kept.append(load)
    return tuple(sorted(left or (load.name for load in lost)))


def _why(lost: Collection[Load], rest: Mapping[str, Room]) -> str:
    """Return the figures behind a shortage."""
    if not rest:
        return "there is no other node"
    for load in lost:
        candidates = load.candidates & rest.keys()
        if not candidates:
            return f"no other node has the storage and the bridge of {load.name}"
        largest = max(rest[name].memory for name in candidates)
        if load.memory > largest:
            return (
                f"{load.name} takes {load.memory} MiB and the largest of the other nodes has {largest} MiB for guests"
            )
    wanted, free = sum(load.memory for load in lost), sum(max(0, one.free) for one in rest.values())
    figures = f"its guests take {wanted} MiB, the others have {free} MiB free"
    crowds = crowded({**rest, "": Room(0, 0, list(lost))}, len(rest))
    return f"{figures}{'; ' + crowds if crowds else ''}"


def crowded(rooms: Mapping[str, Room], nodes: int) -> str:
    """Return which function groups stand closer than they need on so many nodes, with figures; empty where none."""
    crowd = Counter(group for load in _all(rooms) for group in load.groups)
    sentences = []
    for group, count in sorted(crowd.items()):
        limit = -(-count // max(1, nodes))
        for name, one in sorted(rooms.items()):
            here = sorted(load.name for load in one.loads if group in load.groups)
            if name and len(here) > limit:
                sentences.append(f"{name} has {len(here)} of {count} {group} ({', '.join(here)}), at most {limit}")
    return "; ".join(sentences)
