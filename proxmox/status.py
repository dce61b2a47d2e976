"""The command ``status``: the cluster as on-call wants to see it, and how it differs from the inventory."""

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from proxmox import backups, calls, plan, preflight, schedule, session, spare
from proxmox.backups import Archive
from proxmox.errors import ProvisionerError, RefusedError, UnansweredError
from proxmox.session import Session
from proxmox.state import State, Storage

if TYPE_CHECKING:
    from rich.table import Table

WELL, NOTABLE = 0, 2
_DAY: Final = 86400
_BACKUP_SECONDS: Final = 2 * 3600
"""How long after the moment of its schedule a backup may be ready."""


@dataclass(frozen=True)
class NodeLine:
    """A node. Memory in MiB."""

    name: str
    online: bool
    guests: int
    memory: int
    promised: int


@dataclass(frozen=True)
class GuestLine:
    """A guest of the inventory; ages in seconds, None where there is none."""

    name: str
    vmid: int
    node: str
    state: str
    """``running``, ``stopped``, ``missing``, or ``unknown`` where its node is off."""
    ha: str
    backup: float | None
    replicated: float | None
    drift: tuple[str, ...] = ()
    """What differs from the inventory; another node does not, where HA or somebody moved it there."""
    note: str = ""


@dataclass(frozen=True)
class Status:
    """All of it. ``faults`` are what somebody should look at."""

    cluster: str
    quorate: bool
    nodes: tuple[NodeLine, ...]
    guests: tuple[GuestLine, ...]
    storages: tuple[dict[str, object], ...]
    jobs: tuple[str, ...] = ()
    """The backup jobs of this inventory: name, schedule, storage, next run."""
    strangers: tuple[str, ...] = ()
    """Machines that carry our tag and that the inventory does not know."""
    faults: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Kept:
    """What is known of backups and replicas besides the state of the cluster."""

    backed_up: Mapping[int, float] = field(default_factory=dict)
    """VMID → when its newest backup was made (seconds since the epoch)."""
    replicated: Mapping[int, float] = field(default_factory=dict)
    """VMID → when it was last replicated."""
    too_old: float = _DAY + _BACKUP_SECONDS
    """The age in seconds at which a backup is a fault; without a schedule, that of a nightly one that failed once."""
    jobs: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()
    """The backup storages that cannot be read: nobody knows what they hold."""
    faults: tuple[str, ...] = ()
    """What is wrong with the backup jobs and storages."""


def status(options: argparse.Namespace) -> int:
    """Show the cluster; 2 where somebody should look at something."""
    opened = session.reading(options)
    found = opened.read()
    shown = compose(opened, found, _kept(opened, found))
    if options.json:
        session.write(json.dumps(asdict(shown), indent=1))
    else:
        _print(shown)
    return NOTABLE if shown.faults else WELL


def compose(opened: Session, found: State, kept: Kept, now: float | None = None) -> Status:
    """Return the status."""
    now = time.time() if now is None else now
    cluster = opened.whole
    held = spare.rooms(cluster, found)
    guests = tuple(_guests(opened, found, kept, now))
    ours = {guest.vmid for guest in cluster.guests} | {template.vmid for template in cluster.templates}
    strangers = tuple(
        f"{machine.name} ({machine.vmid} on {machine.node}, {'runs' if machine.running else 'stopped'})"
        for machine in found.machines.values()
        if "centralino" in machine.tags and machine.vmid not in ours and "template" not in machine.tags
    )
    return Status(
        cluster=cluster.name,
        quorate=found.quorate,
        nodes=tuple(
            NodeLine(
                name,
                node.online,
                sum(machine.node == name and not machine.template for machine in found.machines.values()),
                node.memory,
                held[name].memory - held[name].free + (node.memory - held[name].memory) if name in held else 0,
            )
            for name, node in sorted(found.nodes.items())
        ),
        guests=guests,
        storages=tuple(
            {"node": "" if one.shared else node, "storage": name, "size": one.size, "used": one.used}
            for (node, name), one in _once(found)
        ),
        jobs=kept.jobs,
        strangers=strangers,
        faults=(*_faults(opened, found, guests, strangers, kept), *kept.faults),
    )


def _once(found: State) -> Iterable[tuple[tuple[str, str], Storage]]:
    """Return each storage once: a shared one is listed for every node."""
    seen = set[str]()
    for (node, name), one in sorted(found.storages.items()):
        if one.shared and (name in seen or not one.available):
            continue
        seen.add(name)
        yield (node, name), one


def _guests(opened: Session, found: State, kept: Kept, now: float) -> Iterable[GuestLine]:
    works = {work.vmid: work for work in plan.build(opened.whole, found).works}
    for guest in opened.whole.guests:
        machine = found.machines.get(guest.vmid)
        work = works[guest.vmid]
        yield GuestLine(
            name=guest.name,
            vmid=guest.vmid,
            node=machine.node if machine else guest.node,
            state=_state(found, guest.vmid),
            ha=found.ha.get(guest.vmid, ""),
            backup=now - kept.backed_up[guest.vmid] if guest.vmid in kept.backed_up else None,
            replicated=now - kept.replicated[guest.vmid] if guest.vmid in kept.replicated else None,
            drift=tuple(_drift(work)) if machine and machine.config else (),
            note="; ".join(work.notes),
        )


def _drift(work: plan.Work) -> Iterable[str]:
    for step in work.steps:
        yield from (f"{change.key}: {change.before}, wanted {change.after}" for change in step.changes)
        if not step.changes:
            yield step.reason


def _state(found: State, vmid: int) -> str:
    machine = found.machines.get(vmid)
    if machine is None:
        return "missing"
    if not found.nodes[machine.node].online:
        return "unknown"  # the cluster's list goes on saying that it runs
    return "running" if machine.running else "stopped"


def _faults(
    opened: Session, found: State, guests: Iterable[GuestLine], strangers: Iterable[str], kept: Kept
) -> Iterable[str]:
    saved = {guest.name: guest.backup_storage for guest in opened.whole.guests}
    yield from preflight.quorum(found)
    yield from (f"node {name} is offline" for name, node in sorted(found.nodes.items()) if not node.online)
    for guest in guests:
        if guest.state != "running":
            yield f"{guest.name} ({guest.vmid} on {guest.node}) is {guest.state}"
        yield from (f"{guest.name} differs from the inventory: {text}" for text in guest.drift)
        if guest.backup is None and saved[guest.name] and saved[guest.name] not in kept.unread:
            yield f"{guest.name} has no backup: `python -m proxmox backup {guest.name}`"
        elif guest.backup is not None and guest.backup > kept.too_old:
            yield f"the newest backup of {guest.name} is {age(guest.backup)} old"
    yield from (f"{one} carries this product's tag and is not in the inventory: retire it" for one in strangers)
    yield from spare.risks(opened.whole, found)


def _kept(opened: Session, found: State) -> Kept:
    listed = opened.api.send(calls.backup_jobs())
    faults = schedule.drift(opened.whole, listed)
    try:
        coming = schedule.moments(opened)
    except ProvisionerError as error:
        coming, faults = [], [*error.sentences, *faults]
    gaps = [later - earlier for earlier, later in pairwise(coming)]
    shelves = {storage: backups.shelf(opened, found, storage) for storage in backups.storages(opened.whole)}
    unread = {storage: why for storage, (_, why) in shelves.items() if why}
    faults += [f"the backups on {storage} cannot be read: {why}" for storage, why in unread.items()]
    return Kept(
        _newest(archive for held, _ in shelves.values() for archive in held),
        _replication_ages(opened, found),
        max(gaps, default=_DAY) + _BACKUP_SECONDS,
        tuple(schedule.lines(opened.whole, listed)),
        frozenset(unread),
        tuple(faults),
    )


def _newest(archives: Iterable[Archive]) -> dict[int, float]:
    newest: dict[int, float] = {}
    for archive in archives:
        newest[archive.vmid] = max(archive.made, newest.get(archive.vmid, 0.0))
    return newest


def _replication_ages(opened: Session, found: State) -> dict[int, float]:
    """Return when each guest was last replicated; asks nodes only where the cluster has replication jobs."""
    ages: dict[int, float] = {}
    if not found.replicas:
        return ages
    for node in found.online():
        try:
            jobs = opened.api.send(calls.replication_state(node))
        except (RefusedError, UnansweredError):
            continue
        for job in jobs:
            if job.get("last_sync"):
                ages[int(job["guest"])] = float(job["last_sync"])
    return ages


def age(seconds: float) -> str:
    """Return a time span as a person says it."""
    for unit, size in (("d", _DAY), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _print(shown: Status) -> None:
    from rich.console import Console  # noqa: PLC0415

    console = Console(highlight=False)
    console.print(f"{shown.cluster}: {'quorum' if shown.quorate else 'NO QUORUM'}", markup=False)
    console.print(_nodes_table(shown))
    console.print(_guests_table(shown))
    for job in shown.jobs:
        console.print(job, markup=False, soft_wrap=True)
    for fault in shown.faults:
        console.print(f"! {fault}", markup=False, soft_wrap=True)
    for guest in shown.guests:
        if guest.note:
            console.print(f"note: {guest.name} {guest.note}", markup=False, soft_wrap=True)


def _nodes_table(shown: Status) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table("node", "state", "guests", "memory promised", box=None)
    for node in shown.nodes:
        table.add_row(
            node.name,
            "online" if node.online else "OFFLINE",
            str(node.guests),
            f"{node.promised >> 10} of {node.memory >> 10} GiB" if node.online else "",
        )
    return table


def _guests_table(shown: Status) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table("guest", "vmid", "node", "state", "HA", "backup", "replica", "drift", box=None)
    for guest in shown.guests:
        table.add_row(
            guest.name,
            str(guest.vmid),
            guest.node,
            guest.state,
            guest.ha or "no",
            "none" if guest.backup is None else age(guest.backup),
            "none" if guest.replicated is None else age(guest.replicated),
            "no" if not guest.drift else str(len(guest.drift)),
        )
    return table
