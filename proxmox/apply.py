"""Carries a plan out: templates first, guests side by side, as many clones at a time as their storage takes.

Ctrl-C ends the waiting; the cluster's own tasks go on, and the same command takes up what they leave.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from proxmox import plan, ssh, state, workers
from proxmox.api import Api
from proxmox.converge import Report, Subject, converge
from proxmox.desired import Cluster, Guest, Template
from proxmox.errors import ProvisionerError
from proxmox.plan import Action, Step
from proxmox.reach import reach
from proxmox.state import Machine, State

_WORKERS: Final = 32


@dataclass(frozen=True)
class Outcome:
    """What became of one template or guest."""

    name: str
    changed: bool
    seconds: float
    error: ProvisionerError | None = None


def apply(api: Api, cluster: Cluster, found: State, report: Report, *, move: bool = False) -> list[Outcome]:
    """Make the cluster as wanted, starting from what was found; return an outcome for each template and guest.

    Asked to stop, those that were not begun have none.
    """
    # Before anything is made, and not beside it: guests that log in meanwhile add to the same file.
    for guest in cluster.guests:
        if guest.vmid not in found.machines:
            ssh.forget(guest)
    run = _Run(api, cluster, found, report, move=move)
    with ThreadPoolExecutor(max_workers=min(_WORKERS, len(cluster.templates) + len(cluster.guests))) as pool:
        # Guests wait for their template's outcome, so templates must be first in the queue.
        for template in cluster.templates:
            run.templates[template] = pool.submit(_timed, template.name, partial(run.template, template))
        guests = [pool.submit(_timed, guest.name, partial(run.guest, guest)) for guest in cluster.guests]
        return workers.results(api, pool, [*run.templates.values(), *guests])


def templates(api: Api, cluster: Cluster, found: State, report: Report) -> list[Outcome]:
    """Make the golden templates alone."""
    run = _Run(api, cluster, found, report, move=False)
    return [_timed(template.name, partial(run.template, template)) for template in cluster.templates]


def task_ids(cluster: Cluster) -> frozenset[str]:
    """Return what tasks that concern this cluster's machines are named by: VMIDs and image names."""
    machines = {str(guest.vmid) for guest in cluster.guests}
    return frozenset(machines.union(*((str(template.vmid), template.image) for template in cluster.templates)))


def _timed(name: str, work: Callable[[], bool]) -> Outcome:
    begin = time.monotonic()
    try:
        changed = work()
    except ProvisionerError as error:
        return Outcome(name, changed=True, seconds=time.monotonic() - begin, error=error)
    return Outcome(name, changed=changed, seconds=time.monotonic() - begin)


class _Run:
    """One application, shared by the threads that carry it out."""

    def __init__(self, api: Api, cluster: Cluster, found: State, report: Report, *, move: bool) -> None:
        self.templates: dict[Template, Future[Outcome]] = {}
        self._api = api
        self._cluster = cluster
        self._found = found
        self._report = report
        self._move = move
        self._bounds = {guest.storage: threading.Semaphore(cluster.parallel_clones) for guest in cluster.guests}

    def template(self, template: Template) -> bool:
        """Make the golden template; return whether anything was changed."""

        def steps(machine: Machine | None) -> tuple[Step, ...]:
            there = state.images(self._api.send, template.node, template.image_storage) if machine is None else ()
            return plan.template_steps(template, machine, has_image=template.image in there)

        seconds = max(guest.task_timeout for guest in self._cluster.guests if guest.template == template)
        ids = frozenset((str(template.vmid), template.image))
        subject = Subject(template.name, template.vmid, template.node, seconds, ids, template=True)
        changed, _ = converge(self._api, subject, self._found.machines.get(template.vmid), steps, report=self._report)
        self._report(template.name, "ready")
        return changed

    def guest(self, guest: Guest) -> bool:
        """Make one guest and wait until it lets us in; return whether anything was changed."""
        wanted = plan.sourced(guest, self._found)

        def steps(machine: Machine | None) -> tuple[Step, ...]:
            todo = plan.guest_steps(wanted, machine, move=self._move)
            if todo and todo[0].action is Action.CLONE:
                self._await_template(guest)
            return todo

        ids = frozenset((str(guest.vmid), str(guest.template.vmid)))
        subject = Subject(guest.name, guest.vmid, guest.node, guest.task_timeout, ids)
        first = self._found.machines.get(guest.vmid)
        changed, machine = converge(
            self._api, subject, first, steps, report=self._report, bound=self._bounds[guest.storage]
        )
        reach(self._api, guest, machine.node, self._report)
        self._report(guest.name, "ready")
        return changed

    def _await_template(self, guest: Guest) -> None:
        self._report(guest.name, "waiting for its template")
        if self.templates[guest.template].result().error is not None:
            raise ProvisionerError(
                f"{guest.name}: not made, because its template {guest.template.name} could not be made"
            )
