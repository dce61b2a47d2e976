"""How a plan and its application look: for people, and as JSON for machines."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from proxmox.apply import Outcome
from proxmox.plan import Plan, Work

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

READY = "ready"
_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def print_plan(out: TextIO, title: str, plan: Plan) -> None:
    """Write a plan as a diff: ``+`` is made, ``~`` is changed, ``=`` is as wanted. Coloured on a terminal."""
    paint = _paint if out.isatty() and "NO_COLOR" not in os.environ else _plain
    lines = [paint("bold", title)]
    for work in plan.works:
        sign, colour = ("=", "dim") if not work.steps else ("~", "yellow") if work.exists else ("+", "green")
        kind = "template " if work.template else ""
        lines.append(f"{paint(colour, f'{sign} {kind}{work.name}')} {paint('dim', f'({work.vmid} on {work.node})')}")
        for step in work.steps:
            note = f" {paint('yellow', f'({step.note})')}" if step.note else ""
            lines.append(f"    {step.action:<10} {paint('dim', step.reason)}{note}")
            for change in step.changes:
                before = f"{paint('red', change.before)} → " if work.exists else ""
                lines.append(f"      {change.key:<12} {before}{paint('green', change.after)}")
        lines += [f"    {paint('dim', f'note: {note}')}" for note in work.notes]
    out.write("\n".join([*lines, summary(plan), ""]))
    out.flush()


def _paint(style: str, text: str) -> str:
    return f"\033[{_STYLES[style]}m{text}\033[0m"


def _plain(_: str, text: str) -> str:
    return text


def summary(plan: Plan) -> str:
    """Return the plan in one line."""
    made = sum(1 for work in plan.works if work.steps and not work.exists)
    changed = sum(1 for work in plan.works if work.steps and work.exists)
    return f"{made} to make, {changed} to change, {len(plan.works) - made - changed} as wanted"


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return the plan for ``--json``."""
    return {"changed": not plan.empty, "works": [_work_data(work) for work in plan.works]}


def outcome_data(plan: Plan, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Return an application for ``--json``."""
    results = [
        {
            "name": outcome.name,
            "changed": outcome.changed,
            "seconds": round(outcome.seconds, 3),
            "errors": list(outcome.error.sentences) if outcome.error else [],
        }
        for outcome in outcomes
    ]
    return {
        "changed": any(result["changed"] for result in results),
        "results": results,
        "plan": plan_data(plan)["works"],
    }


def _work_data(work: Work) -> dict[str, Any]:
    return {
        "name": work.name,
        "vmid": work.vmid,
        "node": work.node,
        "kind": "template" if work.template else "guest",
        "exists": work.exists,
        "steps": [
            {
                "action": step.action.value,
                "reason": step.reason,
                "request": str(step.call) if step.call else None,
                "changes": [asdict(change) for change in step.changes],
                "note": step.note,
            }
            for step in work.steps
        ],
        "notes": list(work.notes),
    }


class Lines:
    """A progress line for each subject on a terminal, plain lines with the time elsewhere. Threads may share it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._begin = time.monotonic()
        self._last: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            self._progress = _bars()
            self._tasks = {name: self._progress.add_task(name, total=1, doing="") for name in names}

    def __enter__(self) -> Self:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def __call__(self, name: str, doing: str) -> None:
        """Say what is being done with a subject."""
        if self._progress and name in self._tasks:
            self._progress.update(
                self._tasks[name], doing=doing.replace("[", r"\["), completed=1 if doing == READY else 0
            )
        elif self._last.get(name) != doing:
            self._last[name] = doing
            sys.stderr.write(f"{time.monotonic() - self._begin:6.1f} s  {name}: {doing}\n")


def _bars() -> "Progress":
    from rich.console import Console  # noqa: PLC0415  (imported where it is needed: a plan has to be quick)
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    name, doing = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[doing]}", markup=False)
    return Progress(SpinnerColumn(finished_text="✓"), name, TimeElapsedColumn(), doing, console=Console(stderr=True))
