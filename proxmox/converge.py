"""Takes one machine from what it is to what it shall be: steps, tasks, read-back, until nothing is left to do.

Nothing is believed that was not read back. A lock that is held, a task that lost a race and an answer that never came
all end in a new look at the machine and new steps from there, so a request is never repeated blindly.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

from proxmox import calls, state
from proxmox.api import Api
from proxmox.errors import ProvisionerError, RefusedError, TaskFailedError, UnansweredError
from proxmox.plan import Action, Step
from proxmox.state import Machine

Report = Callable[[str, str], None]
"""Takes a subject's name and what is being done with it."""
Steps = Callable[[Machine | None], tuple[Step, ...]]
"""Returns what is left to do with a machine that was just read."""

_FAILURES: Final = 6
_ROUNDS_WITHOUT_EFFECT: Final = 3
_ARRIVAL_SECONDS: Final = 60
"""How long HA may take until it begins a migration, and the cluster's list until it shows one."""
_START_SECONDS: Final = 120
"""How long HA may take to start a machine that it was asked to: its two daemons work in rounds of ten seconds."""
_CONSOLE: Final = "vncproxy"
"""The task of a console that somebody looks at: it goes on for as long as the window is open, and holds nothing."""
_BUSY: Final = (
    "can't lock",
    "lock request timeout",
    "got timeout",
    "is locked",
    "exists",
    "already running",
    "checksum mismatch",
    "detected modified",
)
"""What the cluster says when somebody else was faster: wait, look again."""
_DOING: Final = {
    Action.WAIT: "waiting for another task",
    Action.DOWNLOAD: "downloading the image",
    Action.CREATE: "importing the image",
    Action.CONVERT: "making it a template",
    Action.CLONE: "cloning",
    Action.CONFIGURE: "configuring",
    Action.RESIZE: "growing the disk",
    Action.MIGRATE: "migrating",
    Action.START: "starting",
}


@dataclass(frozen=True)
class Subject:
    """The machine that is worked on."""

    name: str
    vmid: int
    node: str
    """Where it will be made; where it is, is read."""
    seconds: float
    """How long one of its tasks may take."""
    ids: frozenset[str] = field(default=frozenset())
    """Identifiers in the tasks that make it: its own VMID, its template's, the image's name."""
    template: bool = False
    """Whether it is to be a template."""


def converge(
    api: Api,
    subject: Subject,
    machine: Machine | None,
    steps: Steps,
    *,
    report: Report,
    bound: AbstractContextManager[object] | None = None,
) -> tuple[bool, Machine]:
    """Carry steps out until none is left; return whether anything was changed, and the machine as it was last read.

    ``bound`` is held while the storage copies. Raises :class:`ProvisionerError`, too where somebody else's machine has
    the number by now.
    """
    owner = _owner(subject, machine)
    changed, failures, without_effect = False, 0, 0
    previous: tuple[Step, ...] = ()
    while True:
        todo = steps(machine)
        if not todo:
            if machine is None:
                raise AssertionError("a machine that does not exist always has steps")
            return changed, machine
        without_effect = without_effect + 1 if todo == previous else 0
        if without_effect == _ROUNDS_WITHOUT_EFFECT:
            raise ProvisionerError(_no_effect(subject, todo[0]))
        previous = todo
        try:
            for step in todo:
                report(subject.name, _DOING[step.action])
                if step.action is Action.WAIT:
                    _wait_for_lock(api, subject, machine)
                    break
                with bound if bound and step.action is Action.CLONE else nullcontext():
                    _carry_out(api, subject, step)
                changed = True
        except (TaskFailedError, RefusedError, UnansweredError) as error:
            failures += 1
            if failures > _FAILURES or not _may_pass(error):
                raise
            report(subject.name, f"busy, looking again ({failures})")
            previous = ()
            api.pause(min(2.0**failures / 2, 15.0))
            settle(api, subject.ids, subject.seconds)
        machine = look(api, subject.vmid, machine.node if machine else subject.node)
        _refuse_stranger(subject, machine, owner)


def _owner(subject: Subject, machine: Machine | None) -> str:
    """Return the name of the machine that is worked on: of the one that is there, or of the one that will be made.

    Whose the one is that was there at first, the caller has looked at: an evacuation moves other people's too.
    """
    return subject.name if machine is None or state.is_in_the_making(machine) else _called(machine)


def _called(machine: Machine) -> str:
    """Return a machine's name as the cluster's list has it, which calls a nameless one by its number."""
    return machine.name or f"VM {machine.vmid}"


def _refuse_stranger(subject: Subject, machine: Machine | None, owner: str) -> None:
    """Refuse to touch a machine that somebody else has made under the subject's number; the API reserves none."""
    if machine is None:
        return
    what = state.stranger(replace(machine, name=_called(machine)), owner, template=subject.template)
    if what:
        raise ProvisionerError(
            f"{subject.name}: {subject.vmid} is {what} on {machine.node} by now, not {owner}: somebody else has taken "
            f"the number, and that machine is left alone; give {subject.name} a free one, then run again"
        )


def settle(
    api: Api,
    ids: Iterable[str],
    seconds: float,
    report: Callable[[str], None] | None = None,
    *,
    ignored: frozenset[str] = frozenset(),
) -> None:
    """Wait for tasks that an earlier request began and that still run; how they ended shows in what they left.

    Kinds of tasks that are ``ignored`` are not waited for, and neither are open consoles, nor those of a node that is
    off: it has none.
    """
    wanted = frozenset(ids)
    for entry in api.send(calls.tasks()):
        upid = str(entry["upid"])
        if entry.get("endtime") or not upid.startswith("UPID:"):
            continue
        node, kind, identifier = (upid.split(":")[place] for place in (1, 5, 6))
        if kind == _CONSOLE or kind in ignored:
            continue
        if identifier in wanted or any(one in identifier for one in wanted if not one.isdigit()):
            if not _is_online(api, node):
                continue
            if report:
                report(f"a {kind} of {identifier} is still running")
            try:
                api.wait(upid, seconds, f"the {kind} of {identifier} that an earlier run began")
            except TaskFailedError:
                continue


def _is_online(api: Api, node: str) -> bool:
    nodes = (entry for entry in api.send(calls.resources()) if entry.get("type") == "node")
    return any(entry["node"] == node and entry.get("status") == "online" for entry in nodes)


def look(api: Api, vmid: int, node: str) -> Machine | None:
    """Read a machine, wherever it is by now."""
    return state.find(api.send, vmid, node, api.pause)


def place(api: Api, vmid: int) -> str | None:
    """Return the node that the cluster's list names for a machine."""
    return state.place(api.send, vmid)


def _carry_out(api: Api, subject: Subject, step: Step) -> None:
    if step.call is None:
        raise AssertionError("only a wait has no call")
    answer = api.send(step.call)
    if isinstance(answer, str) and answer.startswith("UPID:"):
        api.wait(answer, subject.seconds, f"{subject.name}: {_DOING[step.action]}")
        if answer.split(":")[5] == "hastart":
            _rise(api, subject, str(step.call.at["node"]))
    if step.action is Action.MIGRATE:
        arrive(api, subject, str(step.call.data["target"]))


def _rise(api: Api, subject: Subject, node: str) -> None:
    """Wait until HA has started a machine: the task only asks it to, and ends before it begins."""
    deadline = time.monotonic() + _START_SECONDS
    while (there := look(api, subject.vmid, node)) and not there.running:
        if time.monotonic() > deadline:
            raise ProvisionerError(
                f"{subject.name}: HA has not started it {_START_SECONDS} s after it was asked to: see its state under "
                f"Datacenter, HA, and the task log of VM {subject.vmid} on {there.node}, then run again"
            )
        api.pause(1.0)


def arrive(api: Api, subject: Subject, target: str) -> None:
    """Wait until a machine is on its target, whatever its task said: under HA that ends before the move begins.

    Raises :class:`ProvisionerError` with where it stayed.
    """
    begin = time.monotonic()
    while (there := place(api, subject.vmid)) != target:
        now = time.monotonic() - begin
        moving = any(
            not entry.get("endtime") and str(entry["upid"]).split(":")[5:7] == ["qmigrate", str(subject.vmid)]
            for entry in api.send(calls.tasks())
        )
        if now > subject.seconds or (now > _ARRIVAL_SECONDS and not moving):
            raise ProvisionerError(
                f"{subject.name}: it is still on {there} {now:.0f} s after the cluster took its migration to {target}: "
                f"see the task log of VM {subject.vmid} (qmigrate, hamigrate) for why, then run again"
            )
        api.pause(0.5)


def _wait_for_lock(api: Api, subject: Subject, machine: Machine | None) -> None:
    deadline = time.monotonic() + subject.seconds
    while machine is not None and machine.lock:
        if time.monotonic() > deadline:
            raise ProvisionerError(
                f"{subject.name}: VM {machine.vmid} on {machine.node} is locked ({machine.lock}) for "
                f"{subject.seconds:.0f} s: if no task of the node works on it, `qm unlock {machine.vmid}` there, "
                "then run again"
            )
        api.pause(1.0)
        machine = look(api, subject.vmid, machine.node)


def _may_pass(error: ProvisionerError) -> bool:
    if isinstance(error, UnansweredError):
        return True
    said = (
        error.exit_status
        if isinstance(error, TaskFailedError)
        else error.reason
        if isinstance(error, RefusedError)
        else ""
    )
    return any(phrase in said.lower() for phrase in _BUSY)


def _no_effect(subject: Subject, step: Step) -> str:
    what = "; ".join(f"{change.key} reads back as {change.before}, wanted is {change.after}" for change in step.changes)
    return (
        f"{subject.name}: the cluster accepts {_DOING[step.action]} and it has no "
        f"effect{f' ({what})' if what else ''}: look at VM {subject.vmid} in Proxmox, its Hardware, Options and "
        "task list"
    )
