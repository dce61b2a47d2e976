"""How a plan and its application look: for people, and as JSON for machines."""

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from proxmox.apply import Outcome
from proxmox.plan import Plan, Work

READY = "ready"


def print_plan(console: Console, title: str, plan: Plan) -> None:
    """Print a plan as a diff: ``+`` is made, ``~`` is changed, ``=`` is as wanted."""
    console.print(f"[bold]{escape(title)}[/bold]")
    for work in plan.works:
        sign, colour = ("=", "dim") if not work.steps else ("~", "yellow") if work.exists else ("+", "green")
        kind = "template " if work.template else ""
        console.print(
            f"[{colour}]{sign} {kind}{escape(work.name)}[/{colour}] [dim]({work.vmid} on {escape(work.node)})[/dim]"
        )
        for step in work.steps:
            note = f" [yellow]({escape(step.note)})[/yellow]" if step.note else ""
            console.print(f"    {step.action:<10} [dim]{escape(step.reason)}[/dim]{note}", soft_wrap=True)
            for change in step.changes:
                before = "" if not work.exists else f"[red]{escape(change.before)}[/red] → "
                console.print(f"      {change.key:<12} {before}[green]{escape(change.after)}[/green]", soft_wrap=True)
        for note in work.notes:
            console.print(f"    [dim]note: {escape(note)}[/dim]", soft_wrap=True)
    console.print(summary(plan))


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
            columns = (
                SpinnerColumn(finished_text="✓"),
                TextColumn("[bold]{task.description}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[doing]}"),
            )
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._tasks = {name: self._progress.add_task(escape(name), total=1, doing="") for name in names}

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
            self._progress.update(self._tasks[name], doing=escape(doing), completed=1 if doing == READY else 0)
        elif self._last.get(name) != doing:
            self._last[name] = doing
            sys.stderr.write(f"{time.monotonic() - self._begin:6.1f} s  {name}: {doing}\n")
