"""Guests go to other nodes of their own Proxmox cluster, as they run, local disks too."""

from collections.abc import Sequence

from proxmox import moves, preflight, relocation, session
from proxmox.api import Api
from proxmox.converge import Report
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError
from proxmox.moves import Move
from proxmox.relocation import Step
from proxmox.session import Session


class Within:
    """The way to the nodes that the inventory names by now."""

    def __init__(self, opened: Session) -> None:
        self._opened = opened
        self._found = opened.read()

    def fit(self) -> None:
        """Refuse a cluster without a quorum and a token without the rights."""
        self._opened.fit(self._found, ("migrate",))

    def steps(self) -> tuple[Step, ...]:
        """Return a step for each guest; one that is on its node already is there."""
        guests = relocation.sequence(self._opened.cluster.guests)
        machines = [session.machine_of(self._found, guest) for guest in guests]
        return tuple(
            Step(guest, guest.vmid, machine.node, there=machine.node == guest.node)
            for guest, machine in zip(guests, machines, strict=True)
        )

    def problems(self, todo: Sequence[Step]) -> list[str]:
        """Return what the nodes lack, and what would be promised twice."""
        machines = self._found.machines
        found = relocation.stopped(todo, machines)
        found += preflight.arrivals(self._found, [(step.guest, machines[step.vmid]) for step in todo])
        if not found and todo and not self._opened.options.overcommit:
            found = moves.risks(self._opened, self._found, {step.vmid: step.guest.node for step in todo})
        return found

    def seen(self, step: Step, *, moved: bool) -> tuple[Api, Guest]:
        """Return the cluster's API and the guest: its number stays."""
        del moved
        return self._opened.api, step.guest

    def carry(self, step: Step, report: Report) -> None:
        """Migrate a guest, through HA where that manages it."""
        move = Move(step.name, step.vmid, step.source, step.guest.node)
        if error := moves.carry(self._opened, move, self._found.machines[step.vmid], report).error:
            raise ProvisionerError(error)

    def finish(self, step: Step, report: Report) -> bool:
        """Nothing is left to do: a guest keeps all that it has."""
        del step, report
        return False

    def back(self, step: Step) -> str:
        """Return the command that brings a guest back to its node; nothing where nobody knows that any more."""
        if step.there:
            return ""
        return f"python -m proxmox migrate {step.name} --to {step.source} -i {self._opened.options.inventory}"
