"""What every command begins with: the inventory, the cluster's API, the lock, what an earlier run left, and a look."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from proxmox import apply, calls, converge, inventory, journal, plan, preflight, reach, reader, spare, state
from proxmox.api import Api
from proxmox.desired import Cluster, Guest
from proxmox.errors import ProvisionerError
from proxmox.journal import Journal, Request
from proxmox.plan import Plan
from proxmox.state import Machine, State

EARLIER_TASKS_SECONDS: Final = 1800
"""How long tasks of an earlier run may still take."""


@dataclass(frozen=True)
class Session:
    """An inventory and the API of its cluster; where something may be written, the journal of this run too."""

    options: argparse.Namespace
    whole: Cluster
    """All that the inventory wants."""
    cluster: Cluster
    """What this run is about (``--limit``)."""
    api: Api
    journal: Journal | None = None

    def read(self) -> State:
        """Read the cluster, with the configuration of every guest that the inventory names."""
        return state.read(self.api.send, self.whole.guests, self.whole.templates)

    def look(self, *, move: bool = False) -> tuple[State, Plan]:
        """Read the cluster and make a plan; refuse what is impossible or too risky, before anything is touched.

        Capacity and the loss of a node are looked at for the whole inventory, whatever the run is limited to.
        """
        found = self.read()
        problems = preflight.problems(self.cluster, found)
        if not problems:
            new = [guest for guest in self.cluster.guests if guest.vmid not in found.machines]
            problems = reach.strangers(new)
        made = plan.build(self.cluster, found, move=move)
        # A cluster that is as wanted needs no proof to be left alone; `status` tells of its risks.
        if not problems and not made.empty and not self.options.overcommit:
            problems = spare.risks(self.whole, found, move=move)
        if problems:
            raise ProvisionerError(*problems)
        return found, made

    def unfinished(self) -> tuple[Request, ...]:
        """Return what runs that were cut off have sent, ended or not."""
        if self.journal is not None:
            return self.journal.unfinished
        return tuple(request for request in journal.read(self.whole.journal) if not request.over)

    def fit(self, found: State, operations: tuple[str, ...] = (), of: Cluster | None = None) -> None:
        """Refuse to work without a quorum or the rights that the operations need; ``of``: of these guests alone."""
        problems = [*preflight.quorum(found), *preflight.lacking(of or self.cluster, found, operations)]
        if problems:
            raise ProvisionerError(*problems)


def load(options: argparse.Namespace) -> Cluster:
    """Return what the inventory wants."""
    return reader.read(inventory.load(options.inventory))


def limited(cluster: Cluster, names: Sequence[str] | None, option: str = "--limit") -> Cluster:
    """Return the cluster with the named guests alone; a clash with one that is left out was found before."""
    if not names:
        return cluster
    wanted = {name for given in names for name in given.split(",") if name}
    unknown = wanted - {guest.name for guest in cluster.guests}
    if unknown or not wanted:
        raise _no_guest(cluster, ", ".join(sorted(unknown)) or "an empty name", option)
    return dataclasses.replace(cluster, guests=tuple(guest for guest in cluster.guests if guest.name in wanted))


def reading(options: argparse.Namespace, whole: Cluster | None = None) -> Session:
    """Return a session that writes nothing, and needs no lock for it."""
    whole = whole or load(options)
    return Session(options, whole, limited(whole, getattr(options, "limit", None)), Api(whole.endpoint))


@contextmanager
def writing(options: argparse.Namespace, whole: Cluster | None = None) -> Iterator[Session]:
    """Hold the cluster's lock, find out what an earlier run left behind, and give a session that may write.

    ``whole`` is what the inventory wants, where that is known already. With ``--check`` it is a session that writes
    nothing. Raises :class:`ProvisionerError` where another run is at work.
    """
    if getattr(options, "check", False):
        yield reading(options, whole)
        return
    whole = whole or load(options)
    with journal.opened(whole.journal, options.command) as notes:
        api = Api(whole.endpoint, notes)
        cluster = limited(whole, getattr(options, "limit", None))
        if notes.left:
            api.send(calls.version())  # an address where nobody is must not pass for a node that does not answer
            journal.recover(api, notes, EARLIER_TASKS_SECONDS, say)
        ids = apply.task_ids(cluster).union(*(request.machines for request in notes.left))
        # A backup that the cluster's schedule began holds one guest, and is waited for where that is in the way.
        ours = any(request.text.split(" ")[1].endswith("/vzdump") for request in notes.left)
        ignored = frozenset[str]() if ours else frozenset({"vzdump"})
        converge.settle(api, ids, EARLIER_TASKS_SECONDS, lambda text: say(f"waiting: {text}"), ignored=ignored)
        yield Session(options, whole, cluster, api, notes)
        notes.done()


def guest_of(cluster: Cluster, name: str) -> Guest:
    """Return a guest of the inventory by its name."""
    for guest in cluster.guests:
        if guest.name == name:
            return guest
    raise _no_guest(cluster, name or "an empty name", "GUEST")


def _no_guest(cluster: Cluster, names: str, option: str) -> ProvisionerError:
    there = ", ".join(guest.name for guest in cluster.guests)
    return ProvisionerError(f"{option}: {names} is no guest of this inventory: it has {there}")


def machine_of(found: State, guest: Guest) -> Machine:
    """Return the machine of a guest, which must be there and be the guest's."""
    machine = found.machines.get(guest.vmid)
    if machine is None:
        raise ProvisionerError(
            f"{guest.name} ({guest.vmid}) does not exist on the cluster: make it with `python -m proxmox apply`"
        )
    if problems := list(preflight.identity(guest, found)):
        raise ProvisionerError(*problems)
    return machine


def title(cluster: Cluster) -> str:
    """Return the headline of a plan."""
    return f"{cluster.name}: {len(cluster.guests)} guests, Proxmox at {cluster.endpoint.host}:{cluster.endpoint.port}"


def write(text: str) -> None:
    """Write a result to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_changed(changed: bool) -> None:
    """Write the last line of a result: whether anything was changed."""
    write(f"changed={'true' if changed else 'false'}")


def say(text: str) -> None:
    """Tell how it goes on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
