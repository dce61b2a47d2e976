"""A lost guest in the hands of HA, which alone may take a guest from a dead node.

A guest whose disk only some nodes have is pinned to one of them. What HA had not before the node's death is taken out
of HA again as soon as it runs, and the pin with it: HA knows nothing of replicas, and the guest is to go home later.
What comes back as a copy leaves its original to HA too, disabled, so that nobody starts it.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from proxmox import calls, converge
from proxmox.api import Api
from proxmox.calls import Call
from proxmox.errors import ProvisionerError, RefusedError, UnansweredError
from proxmox.journal import Request
from proxmox.session import Session

_HA_SECONDS: Final = 600
"""How long HA may take to fence a node and start a guest elsewhere; 83 to 137 s were seen."""
_RULES_SINCE: Final = 9
"""The release in which HA groups became rules."""
_THERE: Final = ("already defined", "already exists")
"""What HA says of a rule or group that is there: the first of these, in all releases that were read."""


def rule(vmid: int) -> str:
    """Return the name of the rule, or group, that pins a guest."""
    return f"centralino-{vmid}"


def lent(opened: Session) -> frozenset[int]:
    """Return the guests that a failover which did not reach its end has put under HA."""
    joined = [request for request in _sent(opened) if request.text.startswith("POST ")]
    return frozenset(int(request.words["sid"].partition(":")[2]) for request in joined)


def begun(opened: Session) -> frozenset[int]:
    """Return the guests whose state under HA such a failover has set, or was about to."""
    return lent(opened).union(*({int(vmid) for vmid in request.machines} for request in _sent(opened)))


def _sent(opened: Session) -> list[Request]:
    """Return what a failover which did not reach its end has sent to set guests' states under HA."""
    return [
        request
        for request in opened.unfinished()
        if request.command == opened.options.command and request.text.split(" ")[1].startswith("/cluster/ha/resources")
    ]


@dataclass(frozen=True)
class Bond:
    """What binds a guest to nodes for HA: a rule (from 9.0) or a group (up to 8.4)."""

    name: str
    nodes: str
    """As HA writes them, with their priorities: ``pve1:2,pve3``."""
    alone: bool = True
    """It binds no other guest."""

    def preferred(self, alive: Collection[str]) -> frozenset[str]:
        """Return the nodes that HA chooses from: of those that are alive, the ones with the highest priority."""
        parts = [part.strip().partition(":") for part in self.nodes.split(",")]
        living = {node: int(priority or 0) for node, _, priority in parts if node in alive}
        return frozenset(node for node, priority in living.items() if priority == max(living.values()))


@dataclass(frozen=True)
class Lost:
    """A guest that HA shall start from its replica."""

    vmid: int
    wanted: str | None
    """The state that HA keeps it in; None where HA does not have it."""
    node: str
    """Where it shall start."""
    replicas: frozenset[str]
    """The living nodes that have a replica of it."""
    alive: frozenset[str]

    def fits(self, bond: Bond) -> bool:
        """Tell whether HA, bound so, starts it where a replica is."""
        chosen = bond.preferred(self.alive)
        return bool(chosen) and chosen <= self.replicas


def pin(api: Api, lost: Lost) -> tuple[str, ...]:
    """Have HA start a guest where its replica is; return what of that outlasts it, for whoever takes it back.

    A rule that brings it there already is left alone. HA goes on managing what it had until the new rule holds, so
    that a refusal leaves the guest as it was.
    """
    return _by_rule(api, lost) if _has_rules(api) else _by_group(api, lost)


def disarm(api: Api, vmid: int, dead: str, wanted: str | None) -> None:
    """Have nobody start a dead node's guest, and HA leave it there.

    What HA has in the state ``disabled`` its node does not start either. But what becomes so after the node's death,
    HA recovers first like all else, to a node that has not its disk; it finds none where a guest is bound to the dead
    one, and gives it up in place (``next_state_recovery`` of PVE::HA::Manager).
    """
    if wanted == "disabled":
        return
    name = rule(vmid)
    if not _has_rules(api):
        _make_or_change(api, calls.group_ha(name, dead), calls.regroup_ha(name, dead))
        disable = calls.set_ha if wanted else calls.join_ha
        api.send(disable(vmid, "disabled", group=name))
        return
    if wanted is not None:
        api.send(calls.leave_ha(vmid))  # and so every rule, of which only one may bind it to nodes
    api.send(calls.join_ha(vmid, "ignored"))
    _make_or_change(api, calls.pin_ha(name, vmid, dead), calls.repin_ha(name, vmid, dead))
    api.send(calls.set_ha(vmid, "disabled"))


def _has_rules(api: Api) -> bool:
    return int(str(api.send(calls.version())["version"]).partition(".")[0]) >= _RULES_SINCE


def _by_rule(api: Api, lost: Lost) -> tuple[str, ...]:
    theirs = _their_rule(api, lost.vmid)
    if theirs and not lost.fits(theirs) and not theirs.alone:
        raise ProvisionerError(
            f"HA's rule {theirs.name} ({theirs.nodes}) does not let it start on {lost.node}, where its replica is, and "
            "binds other guests too: take it out of that rule (Datacenter, HA, Affinity Rules), then run again"
        )
    if lost.wanted is None:
        # A rule takes only what HA manages, and HA shall not begin before the rule holds.
        api.send(calls.join_ha(lost.vmid, "ignored"))
    try:
        notes = _bind(api, lost, theirs)
    except RefusedError:
        if lost.wanted is None:
            with suppress(RefusedError):
                api.send(calls.leave_ha(lost.vmid))
        raise
    if lost.wanted != "started":
        api.send(calls.set_ha(lost.vmid, "started"))
    return notes


def _bind(api: Api, lost: Lost, theirs: Bond | None) -> tuple[str, ...]:
    """Make the rule that brings a guest to its replica, where none does."""
    if theirs is None:
        name = rule(lost.vmid)
        repin = calls.repin_ha(name, lost.vmid, lost.node)
        _make_or_change(api, calls.pin_ha(name, lost.vmid, lost.node), repin)
        return (f"HA keeps it on {lost.node} ({name}): remove that before it goes to another node",)
    if lost.fits(theirs):
        return (f"HA's rule {theirs.name} ({theirs.nodes}) has brought it there",)
    api.send(calls.repin_ha(theirs.name, lost.vmid, lost.node))
    changed = f"HA's rule {theirs.name} named {theirs.nodes} and names {lost.node} alone now"
    return (f"{changed}: set it back before the guest goes to another node",)


def _by_group(api: Api, lost: Lost) -> tuple[str, ...]:
    theirs = _their_group(api, lost.vmid) if lost.wanted else None
    if theirs and lost.fits(theirs):
        if lost.wanted != "started":
            api.send(calls.set_ha(lost.vmid, "started"))
        return (f"HA's group {theirs.name} ({theirs.nodes}) has brought it there",)
    name = rule(lost.vmid)
    _make_or_change(api, calls.group_ha(name, lost.node), calls.regroup_ha(name, lost.node))
    if lost.wanted is None:
        api.send(calls.join_ha(lost.vmid, "started", group=name))
    else:
        api.send(calls.set_ha(lost.vmid, "started", group=name))
    was = f"; its group was {theirs.name}" if theirs else ""
    return (f"HA keeps it on {lost.node} ({name}): remove that before it goes to another node{was}",)


def _their_rule(api: Api, vmid: int) -> Bond | None:
    """Return the rule, not of ours, that binds a guest to nodes. HA lets a guest be in one such rule alone."""
    for entry in api.send(calls.ha_rules()):
        guests = [one.strip() for one in str(entry.get("resources") or "").split(",")]
        if (
            entry.get("type") == "node-affinity"
            and f"vm:{vmid}" in guests
            and entry["rule"] != rule(vmid)
            and not int(entry.get("disable") or 0)
        ):
            return Bond(str(entry["rule"]), str(entry.get("nodes") or ""), alone=len(guests) == 1)
    return None


def _their_group(api: Api, vmid: int) -> Bond | None:
    """Return the group, not of ours, that HA has a guest in (up to 8.4)."""
    named = {str(one["sid"]): str(one.get("group") or "") for one in api.send(calls.ha_resources())}
    for entry in api.send(calls.ha_groups()):
        if entry["group"] == named.get(f"vm:{vmid}") and entry["group"] != rule(vmid):
            return Bond(str(entry["group"]), str(entry.get("nodes") or ""))
    return None


def _make_or_change(api: Api, make: Call, change: Call) -> None:
    """Make a rule or group; change the one of an earlier failover, which may name another node."""
    try:
        api.send(make)
    except RefusedError as error:
        if not any(text in error.reason for text in _THERE):
            raise
        api.send(change)


def wait(api: Api, vmid: int, dead: str) -> str:
    """Wait until HA has started a guest elsewhere; return where."""
    deadline = time.monotonic() + _HA_SECONDS
    while True:
        there = converge.place(api, vmid)
        if there is not None and there != dead and _runs(api, there, vmid):
            return there
        if time.monotonic() > deadline:
            raise ProvisionerError(
                f"HA has not started {vmid} elsewhere after {_HA_SECONDS} s: see Datacenter, HA, and the task logs; "
                "then run again"
            )
        api.pause(1.0)


def _runs(api: Api, node: str, vmid: int) -> bool:
    try:
        return bool(api.send(calls.status(node, vmid)).get("status") == "running")
    except (RefusedError, UnansweredError):
        return False
