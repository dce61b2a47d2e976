"""The commands ``backup``, ``restore`` and ``drill``: what the backup storage holds, and whether it comes to life."""

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from proxmox import calls, converge, preflight, session, show, spare, values
from proxmox.calls import Call, Value
from proxmox.converge import Report
from proxmox.desired import Cluster, Guest
from proxmox.errors import ProvisionerError, RefusedError, TaskFailedError, UnansweredError
from proxmox.placement import Room
from proxmox.session import Session
from proxmox.state import Machine, State

DRILL_TAG: Final = "centralino-drill"
_DRILL_SECONDS: Final = 180
"""How long a restored guest may take until its agent answers."""


@dataclass(frozen=True)
class Archive:
    """A backup of a guest."""

    volid: str
    vmid: int
    made: float
    """Seconds since the epoch."""
    size: int
    node: str
    """A node that sees it."""


def archives(opened: Session, found: State) -> list[Archive]:
    """Return all backups on the inventory's backup storages, the newest first; each storage is asked once.

    A storage that no node can read has none here: ask :func:`readers` before concluding that there are none.
    """
    listed = [archive for storage in storages(opened.whole) for archive in on_storage(opened, found, storage)]
    return sorted(listed, key=lambda archive: archive.made, reverse=True)


def storages(cluster: Cluster) -> list[str]:
    """Return the inventory's backup storages."""
    return sorted({guest.backup_storage for guest in cluster.guests if guest.backup_storage})


def on_storage(opened: Session, found: State, storage: str) -> list[Archive]:
    """Return the backups on a storage, which has to be asked once, or on each node that has one of its own."""
    listed: dict[str, Archive] = {}
    for node in readers(found, storage):
        for entry in opened.api.send(calls.content(node, storage, "backup")):
            archive = Archive(
                str(entry["volid"]),
                int(entry.get("vmid") or 0),
                float(entry.get("ctime") or 0),
                int(entry.get("size") or 0),
                node,
            )
            listed.setdefault(archive.volid, archive)
    return list(listed.values())


def shelf(opened: Session, found: State, storage: str) -> tuple[list[Archive], str]:
    """Return the backups on a storage, and why they cannot be read, where that is so."""
    if not readers(found, storage):
        return [], "no node that is online sees it"
    try:
        return on_storage(opened, found, storage), ""
    except (RefusedError, UnansweredError) as error:
        return [], error.sentences[0]


def readers(found: State, storage: str) -> list[str]:
    """Return the nodes that have to be asked for a storage: one for a shared one, else each."""
    seeing = _seeing(found, storage)
    return seeing[:1] if seeing and found.storages[seeing[0], storage].shared else seeing


def _seeing(found: State, storage: str) -> list[str]:
    """Return the nodes that a storage is available on."""
    return [
        node for node in found.online() if (node, storage) in found.storages and found.storages[node, storage].available
    ]


def reached_from(found: State, archive: Archive) -> list[str]:
    """Return the nodes that an archive can be restored on."""
    storage = archive.volid.partition(":")[0]
    return [node for node in _seeing(found, storage) if node == archive.node or not found.is_own(node, storage)]


def backup(options: argparse.Namespace) -> int:
    """Back guests up now, each without stopping it, and read back that the archive is there."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("backup",))
        guests = session.limited(opened.whole, options.guest, "GUEST").guests
        if problems := [sentence for guest in guests for sentence in unsaved(guest, found)]:
            raise ProvisionerError(*problems)
        machines = [(guest, session.machine_of(found, guest)) for guest in guests]
        if options.check:
            return _end(options, [f"{guest.name} would be backed up to {guest.backup_storage}" for guest in guests])
        reports, errors = [], []
        with show.Lines([guest.name for guest in guests]) as lines:
            for guest, machine in machines:
                try:
                    reports.append(f"{guest.name}: {save(opened, found, guest, machine, lines).volid}")
                except ProvisionerError as error:
                    errors.append(str(error))
        return _ended(options, reports, errors)


def unsaved(guest: Guest, found: State) -> Iterable[str]:
    """Return what keeps a guest from being backed up, a sentence each."""
    if not guest.backup_storage:
        yield (
            f"{guest.where['proxmox_backup_storage']}: proxmox_backup_storage is not set for {guest.name}: name a "
            "storage with content `backup` that every node sees"
        )
        return
    node = found.machines[guest.vmid].node if guest.vmid in found.machines else guest.node
    yield from preflight.storage_problems(
        "proxmox_backup_storage", node, guest.backup_storage, content="backup", where=guest.where, state=found
    )


def save(opened: Session, found: State, guest: Guest, machine: Machine, report: Report) -> Archive:
    """Back one guest up and return the archive that is really there."""
    storage = str(guest.backup_storage)
    before = {archive.volid for archive in archives(opened, found)}
    report(guest.name, "backing up")
    call = calls.vzdump(machine.node, machine.vmid, storage)
    answer = opened.api.send(call)
    if not str(answer).startswith("UPID:"):  # "OK" means that the guest is not on this node
        raise ProvisionerError(
            f"{guest.name}: node {machine.node} took the backup and did nothing, the guest has moved: run again"
        )
    opened.api.wait(str(answer), guest.task_timeout, f"{guest.name}: backing up")
    for archive in archives(opened, found):
        if archive.vmid == guest.vmid and archive.volid not in before:
            report(guest.name, show.READY)
            return archive
    raise ProvisionerError(
        f"{guest.name}: the backup's task ended well and {storage} holds no new archive: see its log on {machine.node}"
    )


def newest(opened: Session, found: State, guest: Guest, volid: str | None = None) -> Archive:
    """Return a guest's newest backup, or the one that is named."""
    if guest.backup_storage and not readers(found, guest.backup_storage):
        raise ProvisionerError(
            f"{guest.name}: no node that is online can read {guest.backup_storage}, where its backups are: bring that "
            "storage back, then run again"
        )
    own = [archive for archive in archives(opened, found) if archive.vmid == guest.vmid]
    if volid is None and own:
        return own[0]
    for archive in own:
        if archive.volid == volid:
            return archive
    there = ", ".join(archive.volid for archive in own[:5]) or "none"
    raise ProvisionerError(
        f"{guest.name}: {'no backup' if volid is None else volid + ' is no backup'} of it on "
        f"{guest.backup_storage or 'any storage (proxmox_backup_storage is not set)'}; there is: {there}"
    )


def restore(options: argparse.Namespace) -> int:
    """Restore a backup to a new VMID, stopped: what still exists is never overwritten."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("backup", "new"))
        guest = session.guest_of(opened.whole, options.guest)
        archive = newest(opened, found, guest, options.archive)
        kept = "with its card's address" if options.keep_address else "with a card address of its own"
        if (made := _restored(opened, found, archive)) is not None:
            _whole(guest, made.vmid, made.node, made)
            note = "made by a run that was cut off"
            return _end(options, [f"{_is(guest, archive, made.vmid, made.node)}, {kept}; {note}"], changed=False)
        node = options.to or guest.node
        vmid = free_vmid(opened.whole, found, options.vmid)
        _check_room(opened, found, guest, node, place="--to", rooms=spare.rooms(opened.whole, found))
        if node not in (seeing := reached_from(found, archive)):
            raise ProvisionerError(f"--to: node {node} does not see {archive.volid}: name one of {', '.join(seeing)}")
        if options.check:
            return _end(options, [f"{archive.volid} would become {vmid} on {node}"])
        with show.Lines([guest.name]) as lines:
            bring_back(opened, guest, archive, (node, vmid), lines, unique=not options.keep_address)
            lines(guest.name, show.READY)
        return _end(options, [f"{_is(guest, archive, vmid, node)}, {kept}"])


def _is(guest: Guest, archive: Archive, vmid: int, node: str) -> str:
    return f"{guest.name} of {when(archive.made)} is {vmid} on {node}, stopped"


def _restored(opened: Session, found: State, archive: Archive) -> Machine | None:
    """Return the machine that a run which was cut off has restored from this archive by this same order."""
    options = opened.options
    for request in opened.unfinished():
        words = request.words
        vmid = int(words.get("vmid", 0)) if words.get("archive") == archive.volid else 0
        if vmid not in found.machines or request.command != options.command:
            continue
        machine = converge.look(opened.api, vmid, found.machines[vmid].node)
        asked = (options.vmid or vmid, "" if options.keep_address else "1")
        if machine and (vmid, words.get("unique", "")) == asked and options.to in {None, machine.node}:
            return machine
    return None


def free_vmid(cluster: Cluster, found: State, wanted: int | None = None) -> int:
    """Return a VMID that no machine has and the inventory does not name; the API reserves none."""
    ours = {guest.vmid for guest in cluster.guests} | {template.vmid for template in cluster.templates}
    if wanted is not None:
        if wanted in found.machines or wanted in ours:
            raise ProvisionerError(f"--vmid: {wanted} is taken: name a free number")
        return wanted
    taken = ours | found.machines.keys()
    return next(number for number in range(max(taken) + 1, 2 * max(taken) + 2) if number not in taken)


def _check_room(
    opened: Session, found: State, guest: Guest, node: str, *, place: str, rooms: Mapping[str, Room]
) -> None:
    """Refuse a node that cannot hold a copy of a guest; ``place`` says where that was asked for."""
    if node not in spare.candidates(guest, found):
        raise ProvisionerError(
            f"{place}: node {node} is not online, or has not both the storage {guest.storage} and the bridge "
            f"{guest.bridge}: name one of {', '.join(sorted(spare.candidates(guest, found))) or 'none'}"
        )
    if opened.options.overcommit:
        return
    if not rooms[node].takes(spare.load(guest, found)):
        raise ProvisionerError(
            f"{place}: node {node} has {max(0, rooms[node].free)} MiB of memory free and {guest.name} takes "
            f"{guest.size.memory}: make room, name another, or take the risk with --overcommit"
        )
    if short := list(spare.full([spare.disk(guest, node)], found)):
        raise ProvisionerError(*(f"{place}: {sentence}" for sentence in short))


def bring_back(
    opened: Session,
    guest: Guest,
    archive: Archive,
    place: tuple[str, int],
    report: Report,
    *,
    unique: bool,
    settings: Mapping[str, Value] = MappingProxyType({}),
) -> None:
    """Restore an archive to a node and VMID, stopped, and read the machine back.

    It does not start with its node before somebody says so: the guest that it copies may be alive.
    """
    node, vmid = place
    report(guest.name, f"restoring {when(archive.made)} to {vmid} on {node}")
    call = calls.create(node, vmid, restoration(guest, archive, unique=unique) | dict(settings))
    run(opened, guest, call, "restoring")
    _whole(guest, vmid, node, converge.look(opened.api, vmid, node))


def _whole(guest: Guest, vmid: int, node: str, machine: Machine | None) -> None:
    if machine is None or machine.lock or not values.disk_size(str(machine.config.get("scsi0", ""))):
        raise ProvisionerError(
            f"{guest.name}: the restore's task has ended and {vmid} on {node} is no whole machine: see its task log, "
            "remove the machine, then run again"
        )


def restoration(guest: Guest, archive: Archive, *, unique: bool) -> dict[str, Value]:
    """Return the settings that make a guest from a backup; ``unique`` gives its card an address of its own."""
    wanted: dict[str, Value] = {"archive": archive.volid, "storage": guest.storage, "onboot": 0}
    return wanted | ({"unique": 1} if unique else {})


def run(opened: Session, guest: Guest, call: Call, doing: str) -> None:
    """Send a write and wait for its task."""
    answer = opened.api.send(call)
    if isinstance(answer, str) and answer.startswith("UPID:"):
        opened.api.wait(answer, guest.task_timeout, f"{guest.name}: {doing}")


def drill(options: argparse.Namespace) -> int:
    """Bring the newest backup to life without a network, ask it, and remove it; report how long that took."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("backup", "new"))
        if _sweep(opened, found):
            found = opened.read()
        guests = session.limited(opened.whole, options.guest, "GUEST").guests
        backed_up = [(guest, newest(opened, found, guest)) for guest in guests]
        rooms = spare.rooms(opened.whole, found)
        chosen = [(guest, archive, _drill_node(opened, found, guest, archive, rooms)) for guest, archive in backed_up]
        if options.check:
            return _end(options, [f"{archive.volid} would be tried on {node}" for _, archive, node in chosen])
        reports, errors = [], []
        with show.Lines([guest.name for guest in guests]) as lines:
            for guest, archive, node in chosen:
                try:
                    reports.append(_try(opened, guest, archive, node, lines))
                except ProvisionerError as error:
                    errors.append(f"{guest.name}: the drill with {archive.volid} failed: {error}")
        return _ended(options, reports, errors)


def _sweep(opened: Session, found: State) -> bool:
    """Remove what a drill left that was killed, and tell whether there was any; nothing else carries its tag."""
    left = [one for one in found.machines.values() if DRILL_TAG in one.tags and one.kind == "qemu"]
    if opened.options.check:
        return False
    for machine in left:
        session.say(f"an earlier drill left {machine.vmid} on {machine.node}: removing it")
        _remove(opened, opened.whole.guests[0], machine.node, machine.vmid)
    return bool(left)


def _drill_node(opened: Session, found: State, guest: Guest, archive: Archive, rooms: Mapping[str, Room]) -> str:
    """Return the node with the most room for a guest's copy, of those that see the archive."""
    load = spare.load(guest, found)

    def preference(node: str) -> tuple[bool, int]:
        fits = rooms[node].takes(load) and not list(spare.full([spare.disk(guest, node)], found))
        return fits, rooms[node].free

    node = max(sorted(load.candidates & set(reached_from(found, archive))), key=preference, default=archive.node)
    _check_room(opened, found, guest, node, place=f"drill of {guest.name}", rooms=rooms)
    return node


def _try(opened: Session, guest: Guest, archive: Archive, node: str, report: Report) -> str:
    vmid, begin = free_vmid(opened.whole, opened.read()), time.monotonic()
    # From the first moment it has the drill's name and tag, so that one that is killed here is swept by the next.
    mine: dict[str, Value] = {"name": f"drill-{guest.name}", "tags": values.tag_string((DRILL_TAG,))}
    bring_back(opened, guest, archive, (node, vmid), report, unique=True, settings=mine)
    try:
        machine = converge.look(opened.api, vmid, node)
        # Its cables are pulled and nothing starts it by itself: it never answers for the guest that it copies, in none
        # of its networks.
        isolated: dict[str, Value] = {**values.pulled(machine.config if machine else {}), "onboot": 0, **mine}
        run(opened, guest, calls.configure(node, vmid, isolated), "isolating")
        report(guest.name, "booting the copy")
        run(opened, guest, calls.start(node, vmid), "booting the copy")
        _await_agent(opened, node, vmid)
        restored = time.monotonic() - begin
    finally:
        report(guest.name, "removing the copy")
        _remove(opened, guest, node, vmid)
    report(guest.name, show.READY)
    age = time.time() - archive.made
    return (
        f"{guest.name}: {archive.volid} ({age / 3600:.1f} h old) booted and answered {restored:.0f} s after the order"
    )


def _await_agent(opened: Session, node: str, vmid: int) -> None:
    deadline = time.monotonic() + _DRILL_SECONDS
    while True:
        try:
            opened.api.ask(calls.interfaces(node, vmid))
        except (RefusedError, UnansweredError) as error:
            if time.monotonic() > deadline:
                raise ProvisionerError(
                    f"the copy's agent does not answer after {_DRILL_SECONDS} s ({error.sentences[0]})"
                ) from None
            opened.api.pause(1.0)
        else:
            return


def _remove(opened: Session, guest: Guest, node: str, vmid: int) -> None:
    with suppress(RefusedError, TaskFailedError):  # it may not have been started
        run(opened, guest, calls.stop(node, vmid), "stopping the copy")
    run(opened, guest, calls.destroy(node, vmid), "removing the copy")


def when(seconds: float) -> str:
    """Return a moment as a person reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _ended(options: argparse.Namespace, reports: list[str], errors: list[str]) -> int:
    """Write what was done for guests, each for itself, then raise what was not."""
    _end(options, reports, changed=bool(reports))
    if errors:
        raise ProvisionerError(*errors)
    return 0


def _end(options: argparse.Namespace, lines: list[str], *, changed: bool = True) -> int:
    changed = changed and not options.check
    if options.json:
        session.write(json.dumps({"changed": changed, "results": lines}, indent=1))
    else:
        for line in lines:
            session.write(line)
        session.write_changed(changed)
    return 2 if options.check and lines else 0
