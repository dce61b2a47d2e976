"""The command ``failover``: a node is dead; its guests come back elsewhere, each in the quickest way that it has.

Nothing is begun before somebody has proved that the node is off: an isolated node may still run its guests, and a
second copy of a telephone exchange is worse than none. What is brought back under a number of its own leaves its
original under HA in the state ``disabled``, bound to its node, so that the node does not start it when it returns.
"""

import argparse
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from proxmox import (
    adopt,
    backups,
    calls,
    converge,
    fence,
    plan,
    preflight,
    probes,
    session,
    show,
    ssh,
    state,
    status,
    takeover,
    values,
    ways,
    workers,
)
from proxmox.converge import Report, Subject
from proxmox.errors import ProvisionerError
from proxmox.reach import reach
from proxmox.session import Session
from proxmox.state import Machine, State
from proxmox.ways import Rescue, Way

_SERVICE_SECONDS: Final = 180


def failover(options: argparse.Namespace) -> int:
    """Bring a dead node's guests back."""
    began = _since(options.since)
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("failover",))
        _check_dead(found, options.node)
        rescues = ways.decide(opened, found, options.node, began)
        _check_rights(opened, found, rescues)
        stranded = ways.stranded(opened, found, options.node)
        lent = adopt.lent(opened)
        if options.check:
            code = _end(opened, rescues, [], planned=True)
            if errors := [*stranded, *(one.error for one in rescues if one.error)]:
                raise ProvisionerError(*errors)
            return code
        if rescues:
            fence.prove_off(opened, options)
        with show.Lines([one.guest.name for one in rescues]) as lines:
            done = _Run(opened, found, lines, began, lent).all(rescues) if rescues else []
        if opened.api.stop.is_set():
            _end(opened, [one for one in done if not one.error], [], planned=False)
            opened.api.go_on()
        _take_back(opened, found, lent - {one.guest.vmid for one in rescues}, options.node)
        code = _end(opened, done, _others(opened, found, options.node), planned=False)
        if errors := [*stranded, *(one.error for one in done if one.error)]:
            raise ProvisionerError(*errors)
        return code


def _since(text: str | None) -> float:
    """Return the time of the node's death: today's ``HH:MM`` or ``HH:MM:SS``, else now."""
    now = time.time()
    if text is None:
        return now
    for layout in ("%H:%M:%S", "%H:%M"):
        try:
            clock = time.strptime(text, layout)
        except ValueError:
            continue
        today = time.localtime(now)
        moment = time.mktime((*today[:3], clock.tm_hour, clock.tm_min, clock.tm_sec, 0, 0, -1))
        return moment if moment <= now else moment - 86400
    raise ProvisionerError(f"--since: {text} is no time of day: write it as 04:12 or 04:12:30")


def _check_dead(found: State, node: str) -> None:
    if node not in found.nodes:
        raise ProvisionerError(f"{node} is not a node of the cluster: it has {', '.join(sorted(found.nodes))}")
    if found.nodes[node].online:
        raise ProvisionerError(
            f"node {node} is online: `python -m proxmox evacuate {node}` moves its guests as they run; if it fails, "
            "take its power first"
        )


def _check_rights(opened: Session, found: State, rescues: list[Rescue]) -> None:
    """Refuse to begin without the rights to find and restore the backups of those that come back from one, or anew.

    Who comes back with its own disk needs none of them.
    """
    anew = [one.guest for one in rescues if one.way in {Way.BACKUP, Way.COPY, Way.CLONE}]
    problems = [
        sentence
        for operations, guests in (
            (("backup", "new"), [guest for guest in anew if guest.backup_storage]),
            (("new",), [guest for guest in anew if not guest.backup_storage]),
        )
        if guests
        for sentence in preflight.lacking(replace(opened.whole, guests=tuple(guests)), found, operations)
    ]
    if problems:
        raise ProvisionerError(*dict.fromkeys(problems))


class _Run:
    """One failover, shared by the threads that carry it out."""

    def __init__(self, opened: Session, found: State, report: Report, began: float, lent: frozenset[int]) -> None:
        self._opened = opened
        self._api = opened.api
        self._found = found
        self._report = report
        self._began = began
        self._lent = lent
        self._dead: str = opened.options.node
        bound = opened.whole.parallel_clones
        self._bounds = {guest.storage: threading.Semaphore(bound) for guest in opened.whole.guests}

    def all(self, rescues: list[Rescue]) -> list[Rescue]:
        with ThreadPoolExecutor(max_workers=len(rescues)) as pool:
            return workers.results(self._api, pool, [pool.submit(self._one, rescue) for rescue in rescues])

    def _one(self, rescue: Rescue) -> Rescue:
        name = rescue.guest.name
        if rescue.error:
            return rescue
        try:
            if rescue.way in {Way.HA, Way.SHARED, Way.REPLICA}:
                node, pinned = self._by_ha(rescue)
            elif rescue.way in {Way.SHARED_TAKEN, Way.REPLICA_TAKEN}:
                node, pinned = self._by_takeover(rescue), ()
            else:
                adopt.disarm(self._api, rescue.guest.vmid, self._dead, self._found.ha.get(rescue.guest.vmid))
                node, pinned = self._by_copy(rescue), ()
            notes = (*self._answers(rescue, node), *pinned)
        except ProvisionerError as error:
            return replace(rescue, took=time.time() - self._began, error=f"{name}: {rescue.way}: {error}")
        self._report(name, show.READY)
        return replace(rescue, took=time.time() - self._began, node=node, notes=notes)

    def _by_ha(self, rescue: Rescue) -> tuple[str, tuple[str, ...]]:
        """Have HA start a guest elsewhere; what it had not before, and can have on few nodes alone, it gives back."""
        guest = rescue.guest
        lent = guest.vmid not in self._found.ha or guest.vmid in self._lent
        wanted = self._found.ha.get(guest.vmid)
        notes: tuple[str, ...] = ()
        if rescue.way is Way.REPLICA:
            alive = frozenset(self._found.online())
            notes = adopt.pin(self._api, adopt.Lost(guest.vmid, wanted, rescue.target, rescue.replicas, alive))
        elif wanted is None:
            self._report(guest.name, "giving it to HA")
            self._api.send(calls.join_ha(guest.vmid, "started"))
        elif wanted != "started":
            self._api.send(calls.set_ha(guest.vmid, "started"))
        self._report(guest.name, "waiting for HA")
        node = adopt.wait(self._api, guest.vmid, self._dead)
        if rescue.way is Way.REPLICA and lent:
            self._api.send(calls.leave_ha(guest.vmid))
            return node, ()
        return node, notes

    def _by_copy(self, rescue: Rescue) -> str:
        """Make the guest under another number, with its name, card and address; its own is taken for now."""
        guest = rescue.guest
        successor = replace(guest, vmid=rescue.vmid, node=rescue.target, mac_is_set=True)
        machine = None
        if rescue.way is Way.BACKUP and rescue.archive is not None:
            with self._bounds[guest.storage]:
                place = (rescue.target, rescue.vmid)
                mine = {"name": guest.name, "tags": values.tag_string((*guest.tags, ways.TAG))}
                backups.bring_back(
                    self._opened, guest, rescue.archive, place, self._report, unique=False, settings=mine
                )
            machine = state.find(self._api.send, rescue.vmid, rescue.target, self._api.pause)
        elif rescue.way is Way.COPY:
            machine = state.find(self._api.send, rescue.vmid, rescue.target, self._api.pause)
        else:
            ssh.forget(guest)
        return self._converge(rescue, machine, lambda now: plan.guest_steps(successor, now))

    def _by_takeover(self, rescue: Rescue) -> str:
        """Move the guest's configuration, unless an earlier run did, and start it where its disk is, as it is."""
        before = self._found.machines[rescue.vmid].node
        if before != rescue.target:
            self._report(rescue.guest.name, "taking it over")
            takeover.take(self._opened, rescue.vmid, before, rescue.target)
        return self._converge(rescue, takeover.arrived(self._api, rescue.vmid, rescue.target), plan.power_steps)

    def _converge(self, rescue: Rescue, machine: Machine | None, steps: converge.Steps) -> str:
        """Take what is there of a guest through these steps; return its node."""
        guest = rescue.guest
        ids = frozenset((str(rescue.vmid), str(guest.template.vmid)))
        subject = Subject(guest.name, rescue.vmid, rescue.target, guest.task_timeout, ids)
        _, whole = converge.converge(
            self._api, subject, machine, steps, report=self._report, bound=self._bounds[guest.storage]
        )
        return whole.node

    def _answers(self, rescue: Rescue, node: str) -> tuple[str, ...]:
        """Wait until the guest's services answer; one that is made anew has none before it is converged."""
        guest, notes = rescue.guest, []
        if rescue.vmid != guest.vmid:
            then = ", then run `schedule`" if self._opened.whole.backup_schedule else ""
            notes.append(f"set proxmox_vmid to {rescue.vmid} in {guest.where['proxmox_vmid']}{then}")
            notes.append(f"when {self._dead} is back, `retire {guest.vmid}` removes its copy")
            if self._found.ha.get(guest.vmid) == "started":
                notes.append(f"HA had it: put {rescue.vmid} under HA again")
        if rescue.way is Way.CLONE or not probes.of_guest(guest):
            reach(self._api, replace(guest, vmid=rescue.vmid), node, self._report)
            if rescue.way is Way.CLONE:
                notes.append(f"it is empty: playbooks/converge.yml --limit {guest.name} makes it whole")
            return tuple(notes)
        if guest.address is None:
            guest = reach(self._api, replace(guest, vmid=rescue.vmid), node, self._report)
        try:
            probes.answered(guest, _SERVICE_SECONDS, self._api.pause, self._report)
        except probes.SilentError as silence:
            raise ProvisionerError(
                f"it runs on {node} as {rescue.vmid} and its service does not answer after {_SERVICE_SECONDS} s "
                f"({silence}): look at its console"
            ) from None
        return tuple(notes)


def _take_back(opened: Session, found: State, lent: frozenset[int], node: str) -> None:
    """Take out of HA what a run that was cut off gave it, and what runs from its replica by now."""
    for guest in opened.whole.guests:
        machine = found.machines.get(guest.vmid)
        if guest.vmid not in lent or found.ha.get(guest.vmid) != "started" or machine is None or machine.node == node:
            continue
        if found.is_own(machine.node, guest.storage):
            adopt.wait(opened.api, guest.vmid, node)
            opened.api.send(calls.leave_ha(guest.vmid))


def _others(opened: Session, found: State, node: str) -> list[str]:
    """Return the dead node's machines that are not the inventory's, and not ours to bring back."""
    ours = {guest.vmid for guest in opened.whole.guests} | {one.vmid for one in opened.whole.templates}
    return [
        f"{machine.name or 'a machine'} ({machine.vmid})"
        for machine in found.machines.values()
        if machine.node == node and machine.vmid not in ours
    ]


def _end(opened: Session, rescues: list[Rescue], others: list[str], *, planned: bool) -> int:
    changed = bool(rescues) and not planned
    if opened.options.json:
        session.write(
            json.dumps({"changed": changed, "guests": [_data(one) for one in rescues], "others": others}, indent=1)
        )
        return 2 if planned and rescues else 0
    for one in rescues:
        lost = _loss(one)
        if planned and not one.error:
            session.write(f"{one.guest.name}: {one.way}; {one.vmid} on {one.target}; would lose {lost}")
        elif not one.error:
            session.write(
                f"{one.guest.name}: {one.way}; {one.vmid} on {one.node}, answers after {one.took:.0f} s (RTO), "
                f"lost {lost} (RPO)"
            )
            for note in one.notes:
                session.write(f"    {note}")
    if others:
        session.write(f"not of this inventory and not brought back: {', '.join(others)}")
    session.write_changed(changed)
    return 2 if planned and rescues else 0


def _loss(one: Rescue) -> str:
    """Return the data that a guest lost, as a person says it."""
    match one.way:
        case Way.HA | Way.SHARED | Way.SHARED_TAKEN:
            return "no data"
        case Way.REPLICA | Way.REPLICA_TAKEN:
            return f"what came after the last replication, schedule {one.schedule}"
        case Way.BACKUP:
            return f"{status.age(one.lost or 0.0)} of data"
        case Way.COPY:
            return "what came after the backup that it was made from"
        case Way.CLONE:
            return "all of its data"


def _data(one: Rescue) -> dict[str, Any]:
    return {
        "name": one.guest.name,
        "way": one.way.name.lower(),
        "vmid": one.vmid,
        "node": one.node or one.target,
        "rto_seconds": round(one.took, 1),
        "lost": _loss(one),
        "rpo_seconds": None if one.lost is None else round(one.lost, 1),
        "notes": list(one.notes),
        "error": one.error,
    }
