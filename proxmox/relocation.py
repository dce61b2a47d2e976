"""In which order a tenant cluster goes to another place, and where to stop. Pure.

Who stands by goes first: what is wrong with the new place then shows while no call depends on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from proxmox.api import Api
from proxmox.converge import Report
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError
from proxmox.state import Machine


class Role(StrEnum):
    """What a guest is to the calls, in the order of the steps."""

    STANDBY = "stands by"
    CALLS = "carries calls"
    CTI = "CTI"
    WEB = "web"
    REST = "no calls"


@dataclass(frozen=True)
class Step:
    """One guest on its way."""

    guest: Guest
    """As the inventory wants it in the new place."""
    vmid: int
    """Its number where it is now."""
    source: str
    """The node that it is on."""
    there: bool
    """It is in the new place already."""

    @property
    def name(self) -> str:
        """The guest's name."""
        return self.guest.name

    @property
    def role(self) -> Role:
        """What it is to the calls."""
        return role(self.guest)


class Way(Protocol):
    """How guests come to the new place: within one Proxmox cluster, or from one to another."""

    def fit(self) -> None:
        """Refuse clusters without a quorum and tokens without the rights, those for the way back among them."""

    def steps(self) -> tuple[Step, ...]:
        """Read what there is and return a step for each guest, in order."""

    def problems(self, todo: Sequence[Step]) -> list[str]:
        """Return a sentence for everything that stands in the way of guests that are still to go."""

    def seen(self, step: Step, *, moved: bool) -> tuple[Api, Guest]:
        """Return the API of the cluster that a guest is on, and the guest with its number there."""

    def carry(self, step: Step, report: Report) -> None:
        """Bring a guest over and read back that it is there."""

    def finish(self, step: Step, report: Report) -> bool:
        """Do what is left to do for a guest that is there; return whether anything was."""

    def back(self, step: Step) -> str:
        """Return the command that brings a guest back, if there is one."""


def role(guest: Guest) -> Role:
    """Return what a guest is to the calls; a PBX that is everything else too is a PBX."""
    if "pbx" in guest.groups:
        return Role.STANDBY if guest.standby else Role.CALLS
    if "cti" in guest.groups:
        return Role.CTI
    return Role.WEB if "web" in guest.groups else Role.REST


def sequence(guests: Iterable[Guest]) -> list[Guest]:
    """Return guests in the order in which they go."""
    roles = list(Role)
    return sorted(guests, key=lambda guest: (roles.index(role(guest)), guest.name))


def until(steps: Sequence[Step], count: int | None, name: str | None) -> Sequence[Step]:
    """Return the steps that are still to be taken before the stopping point; none where it is reached already.

    Raises :class:`ProvisionerError` for a point that does not exist.
    """
    if count is not None and count < 1:
        raise ProvisionerError(f"--steps: {count} is no number of guests: name 1 or more")
    names = [step.name for step in steps]
    if name is not None and name not in names:
        raise ProvisionerError(f"--until: {name} is none of the guests that go: {', '.join(names)}")
    before = steps if name is None else steps[: names.index(name) + 1]
    return [step for step in before if not step.there][:count]


def note(steps: Sequence[Step], *, switched: bool) -> str:
    """Return what has to be known of the calls before the first step; ``switched``: a program directs them."""
    waiting = [step.name for step in steps if step.role is Role.STANDBY]
    carrying = [step.name for step in steps if step.role is Role.CALLS and not step.there]
    names = ", ".join(carrying)
    if not carrying:
        return ""
    if not waiting:
        return (
            f"no PBX stands by (proxmox_standby): {names} moves as it runs, and its calls with it; what is wrong with "
            "the new place shows on them first"
        )
    if switched:
        return f"proxmox_switch_hook directs new calls to {waiting[-1]} before {carrying[0]} moves"
    return (
        f"calls stay on {names}, which moves as it runs: to direct new ones to {waiting[-1]} before, stop with --until "
        f"{waiting[-1]}, or set proxmox_switch_hook"
    )


def data(step: Step, *, moved: bool) -> dict[str, Any]:
    """Return a step for ``--json``."""
    return {
        "name": step.name,
        "role": step.role.name.lower(),
        "from": step.source,
        "vmid": step.vmid,
        "to": step.guest.node,
        "new_vmid": step.guest.vmid,
        "state": "there" if step.there else "moved" if moved else "to move",
    }


def stopped(todo: Iterable[Step], machines: Mapping[int, Machine]) -> list[str]:
    """Return a sentence for each guest that does not run: nothing could tell what the move did to it."""
    return [
        f"{step.name} ({step.vmid} on {step.source}) does not run, so nobody could see whether its move went well: "
        f"start it with `python -m proxmox apply --limit {step.name}`, or leave it out with --limit"
        for step in todo
        if not machines[step.vmid].running
    ]
