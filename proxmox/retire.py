"""The command ``retire``: removes guests that are asked for by name; never one that is protected or still wanted."""

import argparse
import json

from proxmox import calls, converge, session, show
from proxmox.calls import Call
from proxmox.converge import Report, Subject
from proxmox.errors import ProvisionerError
from proxmox.session import Session
from proxmox.state import Machine, State

_SHUTDOWN_SECONDS = 120
"""How long a guest may take to end its calls and shut down before its plug is pulled."""


def retire(options: argparse.Namespace) -> int:
    """Shut machines down and remove them with their disks."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found)
        names = [name for name in options.guest if not _removed(opened, found, name)]
        machines = [_find(opened, found, name) for name in names]
        if problems := [sentence for machine in machines for sentence in _refusals(opened, machine)]:
            raise ProvisionerError(*problems)
        if machines and not options.check:
            with show.Lines([str(machine.name) for machine in machines]) as lines:
                for machine in machines:
                    _remove(opened, machine, managed=machine.vmid in found.ha, report=lines)
        return _end(opened, machines)


def _removed(opened: Session, found: State, name: str) -> bool:
    """Tell whether a machine is gone, and a run of this command that was cut off was removing some."""
    there = any(name in {one.name, str(one.vmid)} for one in found.machines.values())
    removing = any(
        request.command == opened.options.command and request.text.startswith("DELETE /nodes/")
        for request in opened.unfinished()
    )
    if there or not removing:
        return False
    session.say(f"note: {name} is not there any more: a run that was cut off has removed it")
    return True


def _find(opened: Session, found: State, name: str) -> Machine:
    """Return the machine of a name or VMID, with its configuration."""
    named = [one for one in found.machines.values() if name in {one.name, str(one.vmid)}]
    if not named:
        raise ProvisionerError(f"{name}: no machine of the cluster has this name or number; `status` lists them")
    if len(named) > 1:
        numbers = ", ".join(f"{one.vmid} on {one.node}" for one in named)
        raise ProvisionerError(f"{name}: several machines have this name ({numbers}): say which by its number")
    machine = converge.look(opened.api, named[0].vmid, named[0].node) if named[0].kind == "qemu" else named[0]
    if machine is None:
        raise ProvisionerError(f"{name}: it was removed just now")
    return machine


def _refusals(opened: Session, machine: Machine) -> list[str]:
    what = f"{machine.name} ({machine.vmid} on {machine.node})"
    if machine.kind != "qemu" or "centralino" not in machine.tags:
        return [
            f"{what} does not carry the tag `centralino`: it is not this product's, remove it by Proxmox's own means"
        ]
    if machine.template:
        return [f"{what} is a template: `python -m proxmox template --prune` removes those that nothing needs"]
    if int(machine.config.get("protection") or 0):
        return [f"{what} is protected: lift the protection in its Options first, if it may really go"]
    if machine.lock:
        return [f"{what} is locked ({machine.lock}): wait for its task, or `qm unlock` it where none works on it"]
    if any(guest.vmid == machine.vmid and guest.name == machine.name for guest in opened.whole.guests):
        return [f"{what} is still in the inventory, the next apply would make it anew: take it out of hosts.yml first"]
    return []


def _remove(opened: Session, machine: Machine, *, managed: bool, report: Report) -> None:
    api, name = opened.api, str(machine.name)
    subject = Subject(name, machine.vmid, machine.node, 1800, frozenset({str(machine.vmid)}))

    def run(call: Call, doing: str) -> None:
        report(name, doing)
        answer = api.send(call)
        if isinstance(answer, str) and answer.startswith("UPID:"):
            api.wait(answer, subject.seconds, f"{name}: {doing}")

    if managed:
        run(calls.leave_ha(machine.vmid), "taking it out of high availability")
    if machine.running:
        run(calls.shutdown(machine.node, machine.vmid, _SHUTDOWN_SECONDS), "shutting down")
    run(calls.destroy(machine.node, machine.vmid), "removing")
    if converge.place(api, machine.vmid) is not None and converge.look(api, machine.vmid, machine.node) is not None:
        raise ProvisionerError(
            f"{name}: the cluster removed it and it is still there: see the task log of {machine.node}"
        )
    report(name, show.READY)


def _end(opened: Session, machines: list[Machine]) -> int:
    check = opened.options.check
    changed = bool(machines) and not check
    if opened.options.json:
        data = [{"name": machine.name, "vmid": machine.vmid, "node": machine.node} for machine in machines]
        session.write(json.dumps({"changed": changed, "retired": data}, indent=1))
    else:
        for machine in machines:
            session.write(f"{machine.name} ({machine.vmid} on {machine.node}): {'would be ' if check else ''}removed")
        session.write_changed(changed)
    return 2 if check and machines else 0
