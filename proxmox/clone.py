"""The command ``clone``: a guest of the inventory begins as a full copy of one that runs, then is its own."""

import argparse
import json
import time
from dataclasses import replace

from proxmox import converge, plan, preflight, reach, session, show, spare, ssh
from proxmox.converge import Subject
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError
from proxmox.session import Session
from proxmox.state import Machine, State


def clone(options: argparse.Namespace) -> int:
    """Copy a guest to another of the inventory, on that one's node, with that one's name, card, address and keys.

    The copy is configured before it is first started, and cloud-init, which finds another address and name, makes
    host keys of its own: it never answers for its original.
    """
    with session.writing(options) as opened:
        found = opened.read()
        original, twin = (session.guest_of(opened.whole, name) for name in (options.guest, options.twin))
        opened.fit(found, ("clone",), of=replace(opened.whole, guests=(original,)))
        machine = session.machine_of(found, original)
        _check(opened, found, machine, twin)
        copied = replace(
            twin, template=replace(twin.template, vmid=machine.vmid, node=machine.node, name=original.name)
        )
        begin = time.monotonic()
        if not options.check:
            with show.Lines([twin.name]) as lines:
                ssh.forget(twin)
                ids = frozenset({str(twin.vmid), str(machine.vmid)})
                subject = Subject(twin.name, twin.vmid, twin.node, twin.task_timeout, ids)

                def steps(now: Machine | None) -> tuple[plan.Step, ...]:
                    return _steps(copied, now)

                _, made = converge.converge(opened.api, subject, found.machines.get(twin.vmid), steps, report=lines)
                reach.reach(opened.api, twin, made.node, lines)
                lines(twin.name, show.READY)
        seconds, further = time.monotonic() - begin, sorted(plan.further_cards(machine))
        return _end(options, f"{twin.name} ({twin.vmid} on {twin.node})", original, seconds, further)


def _steps(copied: Guest, now: Machine | None) -> tuple[plan.Step, ...]:
    """Return what makes the copy; the cards that the inventory does not know are seen to before it is first started."""
    if now is None:
        return plan.guest_steps(copied, now)[:1]
    return (() if now.running else plan.apart(now)) or plan.guest_steps(copied, now)


def _check(opened: Session, found: State, machine: Machine, twin: Guest) -> None:
    if twin.vmid == machine.vmid:
        raise ProvisionerError(f"--as: {twin.name} is the guest itself: name another guest of the inventory")
    there = found.machines.get(twin.vmid)
    if there is not None and not _begun(opened, machine, twin):
        raise ProvisionerError(
            f"--as: {twin.name} ({twin.vmid}) exists already on {there.node}: a copy overwrites nothing; to make it as "
            f"the inventory says, `python -m proxmox apply --limit {twin.name}`"
        )
    problems = preflight.problems(replace(opened.whole, guests=(twin,)), found, templates_serve=False)
    # One that an earlier run began may answer by now.
    problems += reach.strangers([twin]) if there is None else []
    if not problems and not opened.options.overcommit:
        problems = spare.risks(opened.whole, found)
    if twin.node != machine.node:
        places = ((machine.node, plan.storage_of(machine)), (twin.node, twin.storage))
        problems += [
            f"{machine.name} is on {machine.node}, and Proxmox copies it neither from nor to a node's own storage, as "
            f"{storage} of {node} is: set proxmox_node of {twin.name} to {machine.node}, then migrate it"
            for node, storage in places
            if found.is_own(node, storage)
        ][:1]
    if problems:
        raise ProvisionerError(*problems)


def _begun(opened: Session, machine: Machine, twin: Guest) -> bool:
    """Tell whether an earlier run was cut off while it made this copy of this machine."""
    path = f"/qemu/{machine.vmid}/clone "
    return any(request.words.get("newid") == str(twin.vmid) and path in request.text for request in opened.unfinished())


def _end(options: argparse.Namespace, twin: str, original: Guest, seconds: float, further: list[str]) -> int:
    changed = not options.check
    if options.json:
        data = {"changed": changed, "twin": twin, "seconds": round(seconds, 1), "unplugged": further}
        session.write(json.dumps(data, indent=1))
    else:
        session.write(f"{twin} {'is' if changed else 'would be'} a copy of {original.name}")
        if further:
            session.write(
                f"    {', '.join(further)}: cable pulled and no address, because {original.name} serves that network: "
                "set an ipconfig of its own, then plug it in (Hardware, Cloud-Init)"
            )
        if changed:
            name = twin.partition(" ")[0]
            session.write(
                f"    its services still have {original.name}'s identity: playbooks/converge.yml --limit {name}"
            )
        session.write_changed(changed)
    return 2 if options.check else 0
