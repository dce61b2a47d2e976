"""The commands ``migrate`` and ``evacuate``: guests go to other nodes as they run; where they are is read back."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from proxmox import converge, placement, plan, session, show, spare, workers
from proxmox.converge import Report, Subject
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError
from proxmox.placement import Load, Room
from proxmox.session import Session
from proxmox.state import Machine, State

_AT_ONCE: Final = 2
"""Migrations at a time: they share the nodes' network with the calls that are being made."""


@dataclass(frozen=True)
class Move:
    """A machine and where it goes; what became of it, when it was tried."""

    name: str
    vmid: int
    source: str
    target: str
    error: str = ""


def migrate(options: argparse.Namespace) -> int:
    """Bring one guest to another node; by default to the one that the inventory names."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("migrate",))
        guest = session.guest_of(opened.whole, options.guest)
        machine = session.machine_of(found, guest)
        target = options.to or guest.node
        if target == machine.node:
            return _end(opened, [], f"{guest.name} is on {target} already")
        _check_target(guest, target, found)
        if not options.overcommit and (taken := risks(opened, found, {guest.vmid: target})):
            raise ProvisionerError(*taken)
        return _carry_out(opened, [(Move(guest.name, guest.vmid, machine.node, target), machine)])


def evacuate(options: argparse.Namespace) -> int:
    """Empty a node: every guest on it goes where the rules allow, whoever it belongs to."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("migrate",))
        node = options.node
        if node not in found.nodes:
            raise ProvisionerError(f"{node} is not a node of the cluster: it has {', '.join(sorted(found.nodes))}")
        if not found.nodes[node].online:
            raise ProvisionerError(
                f"node {node} is offline, nothing can be moved off it: if it is broken, `python -m proxmox failover "
                f"{node}` brings its guests back elsewhere"
            )
        # Containers cannot move while they run, and templates serve from where they are.
        stay = [
            f"{machine.name} ({machine.vmid})"
            for machine in found.machines.values()
            if machine.node == node and (machine.kind != "qemu" or machine.template)
        ]
        here = {machine.vmid: machine for machine in found.machines.values() if machine.node == node}
        movable = [machine for machine in here.values() if machine.kind == "qemu" and not machine.template]
        targets = _spread(opened, found, node, movable)
        moves = [
            (Move(machine.name or str(machine.vmid), machine.vmid, node, targets[_name(machine)]), machine)
            for machine in sorted(movable, key=lambda machine: machine.vmid)
        ]
        result = _carry_out(opened, moves)
        if stay:
            session.say(f"note: {', '.join(sorted(stay))}: not moved (a template or a container)")
        return result


def _spread(opened: Session, found: State, node: str, machines: Sequence[Machine]) -> dict[str, str]:
    """Return a node for each machine so that groups stay apart; and so that the rest could lose one more node."""
    held = spare.rooms(opened.whole, found)
    ours = {guest.vmid: guest for guest in opened.whole.guests}
    others = frozenset(found.online()) - {node}
    rest = {name: one for name, one in held.items() if name != node}
    loads = [_load(machine, ours, found, others) for machine in machines]
    targets = placement.place(loads, rest)
    if targets is None:
        shortage = placement.shortages({**rest, node: Room(0, 0, loads)})
        reason = next((one.reason for one in shortage if one.node == node), "they do not fit")
        raise ProvisionerError(
            f"node {node} cannot be emptied: {reason}: bring a node back or make room, then run again"
        )
    after = {name: replace(one, loads=[*one.loads]) for name, one in rest.items()}
    for load in loads:
        after[targets[load.name]].loads.append(load)
    going = [(ours[machine.vmid], targets[_name(machine)]) for machine in machines if machine.vmid in ours]
    short = [
        f"with {node} empty, the loss of {one.node} would leave {', '.join(one.guests)} without a place "
        f"({one.reason}): make room, or take the risk with --overcommit"
        for one in placement.shortages(after)
    ]
    short += spare.full((spare.disk(guest, to) for guest, to in going if spare.brings_disk(guest, to, found)), found)
    if short and not opened.options.overcommit:
        raise ProvisionerError(*short)
    return targets


def _load(machine: Machine, ours: dict[int, Guest], found: State, others: frozenset[str]) -> Load:
    if machine.vmid in ours:
        return replace(spare.load(ours[machine.vmid], found), name=_name(machine))
    return Load(_name(machine), machine.cores, machine.memory, candidates=others)


def _name(machine: Machine) -> str:
    return f"{machine.name} ({machine.vmid})"


def _check_target(guest: Guest, target: str, found: State) -> None:
    if target not in found.nodes:
        raise ProvisionerError(f"--to: {target} is not a node of the cluster: it has {', '.join(sorted(found.nodes))}")
    if not found.nodes[target].online:
        raise ProvisionerError(f"--to: node {target} is offline: name another")
    if target not in spare.candidates(guest, found):
        raise ProvisionerError(
            f"--to: node {target} has not both the storage {guest.storage} and the bridge {guest.bridge} of "
            f"{guest.name}: name one of {', '.join(sorted(spare.candidates(guest, found)))}"
        )


def risks(opened: Session, found: State, moved: Mapping[int, str]) -> list[str]:
    """Return what would be promised twice if the guests were already where they go."""
    here = {vmid: machine.node for vmid, machine in found.machines.items()} | dict(moved)
    guests = tuple(replace(guest, node=here.get(guest.vmid, guest.node)) for guest in opened.whole.guests)
    return spare.risks(replace(opened.whole, guests=guests), found, move=True)


def _carry_out(opened: Session, moves: list[tuple[Move, Machine]]) -> int:
    if getattr(opened.options, "check", False):
        return _end(opened, [move for move, _ in moves], "", planned=True)
    with show.Lines([move.name for move, _ in moves]) as lines, ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        futures = [pool.submit(carry, opened, move, machine, lines) for move, machine in moves]
        done = workers.results(opened.api, pool, futures)
    if opened.api.stop.is_set():  # where the others end up, the cluster decides
        done = [move for move in done if not move.error]
    result = _end(opened, done, "")
    opened.api.go_on()
    if errors := [move.error for move in done if move.error]:
        raise ProvisionerError(*errors)
    return result


def carry(opened: Session, move: Move, machine: Machine, report: Report) -> Move:
    """Move one machine as it runs and read back where it is; what went wrong is in the result."""
    seconds = max(guest.task_timeout for guest in opened.whole.guests)
    subject = Subject(move.name, move.vmid, move.source, seconds, frozenset({str(move.vmid)}))

    def steps(now: Machine | None) -> tuple[plan.Step, ...]:
        if now is None:
            raise ProvisionerError(f"{move.name}: {move.vmid} was removed while it should be moved")
        if now.node == move.target:
            return ()
        return (plan.wait(now),) if now.lock else (plan.migration(now, move.target),)

    try:
        _, now = converge.converge(opened.api, subject, machine, steps, report=report)
    except ProvisionerError as error:
        there = converge.place(opened.api, move.vmid)
        return replace(move, error=f"{error}; {move.name} is on {there}")
    if machine.running and not now.running:
        sentence = f"{move.name}: it is on {now.node} and does not run there any more: see its task log"
        return replace(move, error=sentence)
    report(move.name, show.READY)
    return move


def _end(opened: Session, moves: list[Move], note: str, *, planned: bool = False) -> int:
    changed = bool(moves) and not planned
    if opened.options.json:
        data: dict[str, Any] = {
            "changed": changed,
            "moves": [
                {"name": move.name, "vmid": move.vmid, "from": move.source, "to": move.target, "error": move.error}
                for move in moves
            ],
        }
        session.write(json.dumps(data, indent=1))
    else:
        for move in moves:
            sign = "stays on" if move.error else "would go from" if planned else "went from"
            there = "" if move.error else f" to {move.target}"
            sys.stdout.write(f"{move.name} ({move.vmid}) {sign} {move.source}{there}\n")
        if note:
            session.write(note)
        session.write_changed(changed)
    return 2 if planned and moves else 0
