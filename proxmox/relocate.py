"""The command ``relocate``: a tenant cluster goes to other nodes or to another Proxmox cluster, and calls go on.

One guest at a time, who carries no calls first. A guest is proved by its own service before the next one is touched, so
that what is wrong with the new place stops the command at its first guest; where it stopped, it goes on.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxmox import hooks, probes, relocation, session, show
from proxmox.across import Across
from proxmox.converge import Report
from proxmox.desired import Cluster
from proxmox.errors import ProvisionerError
from proxmox.inventory import shown
from proxmox.reach import reach
from proxmox.relocation import Role, Step, Way
from proxmox.session import Session
from proxmox.within import Within

_BEFORE_SECONDS: Final = 10
_AFTER_SECONDS: Final = 60
"""How long a service may be silent that nobody has touched, and one whose guest has just moved."""


def relocate(options: argparse.Namespace) -> int:
    """Bring the inventory's guests to the place that it names."""
    if options.source is None:
        with session.writing(options) as opened:
            return _Run(opened, Within(opened)).all()
    of_source = argparse.Namespace(**{**vars(options), "inventory": options.source, "limit": None})
    clusters = session.load(options), session.load(of_source)
    _check_two(options, *clusters)
    with session.writing(options, clusters[0]) as opened, session.writing(of_source, clusters[1]) as old:
        return _Run(opened, Across(opened, old)).all()


def _check_two(options: argparse.Namespace, new: Cluster, old: Cluster) -> None:
    """Refuse two inventories of one cluster, or of one journal: it tells what was asked of one cluster."""
    if (new.endpoint.host, new.endpoint.port) == (old.endpoint.host, old.endpoint.port):
        raise ProvisionerError(
            f"--from: {options.source} names the same Proxmox cluster as {options.inventory} ({new.endpoint.host}:"
            f"{new.endpoint.port}): to go to other nodes of one cluster, leave --from out"
        )
    if new.journal == old.journal:
        raise ProvisionerError(
            f"--from: both inventories have the journal {shown(new.journal)}: set proxmox_journal to another in one"
        )


class _Run:
    """One relocation."""

    def __init__(self, opened: Session, way: Way) -> None:
        self._options = opened.options
        self._hook = opened.whole.switch_hook
        self._way = way
        way.fit()
        self._steps = way.steps()
        self._todo = [step for step in self._steps if not step.there]
        self._planned = relocation.until(self._steps, self._options.steps, self._options.until)
        if problems := way.problems(self._todo):
            raise ProvisionerError(*problems)
        self._moved: list[Step] = []
        self._changed = False

    def all(self) -> int:
        """Take the steps before the stopping point, each when the one before is proved."""
        if note := relocation.note(self._steps, switched=self._hook is not None):
            session.say(f"note: {note}")
        with show.Lines([step.name for step in self._steps]) as lines:
            for step in self._steps:
                if not step.there:
                    self._ask_before(step, lines)
                elif not self._options.check:
                    self._prove(step, lines)
            if self._options.check:
                return self._end_of_check()
            for step in self._planned:
                self._take(step, lines)
        return self._end()

    def _take(self, step: Step, report: Report) -> None:
        standing_by = [one.name for one in self._steps if one.role is Role.STANDBY]
        if self._hook is not None and step.role is Role.CALLS and standing_by:
            _switch(self._hook, standing_by[-1])
            self._hook = None
        self._changed = True
        try:
            self._way.carry(step, report)
        except ProvisionerError as error:
            raise ProvisionerError(f"{error}; the guests after it were not touched") from None
        self._prove(step, report)
        self._moved.append(step)
        report(step.name, show.READY)
        if not self._options.json:
            number = f"{len(self._steps) - len(self._todo) + len(self._moved)}/{len(self._steps)}"
            session.write(f"{number} {_line(step)}: it is there and answers")

    def _ask_before(self, step: Step, report: Report) -> None:
        try:
            self._ask(step, _BEFORE_SECONDS, report, moved=False)
        except ProvisionerError as error:
            raise ProvisionerError(
                f"{step.name} does not answer on {step.source} before anything is done to it ({error}): put that right "
                "first, or leave it out with --limit"
            ) from None

    def _prove(self, step: Step, report: Report) -> None:
        """Finish a guest in the new place and ask its service there."""
        self._changed |= self._way.finish(step, report)
        try:
            self._ask(step, _AFTER_SECONDS, report, moved=True)
        except ProvisionerError as error:
            back = self._way.back(step)
            raise ProvisionerError(
                f"{step.name} is on {step.guest.node} and does not answer there after {_AFTER_SECONDS} s ({error}); "
                f"the guests after it were not touched: see its console and the network of {step.guest.node}, then "
                f"run again{f', or bring it back with `{back}`' if back else ''}"
            ) from None

    def _ask(self, step: Step, seconds: int, report: Report, *, moved: bool) -> None:
        """Wait until a guest's services answer; one without any has to let us in."""
        api, guest = self._way.seen(step, moved=moved)
        node = step.guest.node if moved else step.source
        if guest.address is None or not probes.of_guest(guest):
            hurried = replace(guest, access=replace(guest.access, timeout=min(seconds, guest.access.timeout)))
            guest = reach(api, hurried, node, report) or guest
        try:
            probes.answered(guest, seconds, api.pause, report)
        except probes.SilentError as silence:
            raise ProvisionerError(str(silence)) from None

    def _end_of_check(self) -> int:
        if self._options.json:
            self._write_json([])
        else:
            for number, step in enumerate(self._steps, 1):
                doing = "is there" if step.there else "would go as it runs, then be asked"
                stop = "; stop" if self._planned and step == self._planned[-1] and step != self._todo[-1] else ""
                session.write(f"{number}/{len(self._steps)} {_line(step)}: {doing}{stop}")
            session.write_changed(changed=False)
        return 2 if self._planned else 0

    def _end(self) -> int:
        if self._options.json:
            self._write_json(self._moved)
            return 0
        left = self._todo[len(self._moved) :]
        if left:
            session.write(f"stopped; next is {left[0].name} ({left[0].role})")
            session.write(f"    on:   {self._on()}")
        elif not self._moved:
            session.write("all guests are there and answer")
        for step in reversed(self._moved):
            session.write(f"    back: {self._way.back(step)}")
        session.write_changed(self._changed)
        return 0

    def _on(self) -> str:
        source = f" --from {self._options.source}" if self._options.source else ""
        return f"python -m proxmox relocate -i {self._options.inventory}{source}"

    def _write_json(self, moved: Sequence[Step]) -> None:
        left = [step.name for step in self._todo if step not in moved]
        data = {
            "changed": self._changed,
            "steps": [relocation.data(step, moved=step in moved) for step in self._steps],
            "next": left[0] if left else None,
            "on": self._on() if left else None,
            "back": {step.name: self._way.back(step) for step in moved},
        }
        session.write(json.dumps(data, indent=1))


def _switch(hook: Path, name: str) -> None:
    """Have a program direct new calls to the PBX that stands by."""
    if said := hooks.failure(hook, name):
        raise ProvisionerError(
            f"proxmox_switch_hook: {shown(hook)} does not direct calls to {name} ({said}): correct it, then run "
            "again; no PBX that carries calls was touched"
        )
    session.say(f"{shown(hook)}: new calls go to {name}")


def _line(step: Step) -> str:
    number = step.vmid if step.vmid == step.guest.vmid else f"{step.vmid}, then {step.guest.vmid}"
    way = f"on {step.source}" if step.there else f"{step.source} → {step.guest.node}"
    return f"{step.name} ({number}; {step.role}) {way}"
