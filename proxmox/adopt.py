"""A lost guest in the hands of HA, which alone may take a guest from a dead node.

A guest whose disk only some nodes have is pinned to one of them. What HA had not before the node's death is taken out
of HA again as soon as it runs, and the pin with it: HA knows nothing of replicas, and the guest is to go home later.
"""

import time
from typing import Final

from proxmox import calls, converge
from proxmox.api import Api
from proxmox.errors import ProvisionerError, RefusedError, UnansweredError
from proxmox.session import Session

_HA_SECONDS: Final = 600
"""How long HA may take to fence a node and start a guest elsewhere; 83 to 137 s were seen."""
_RULES_SINCE: Final = 9
"""The release in which HA groups became rules."""


def rule(vmid: int) -> str:
    """Return the name of the rule, or group, that pins a guest."""
    return f"centralino-{vmid}"


def lent(opened: Session) -> frozenset[int]:
    """Return the guests that a failover which did not reach its end has put under HA."""
    return frozenset(
        int(request.words["sid"].partition(":")[2])
        for request in opened.unfinished()
        if request.command == opened.options.command and request.text.startswith("POST /cluster/ha/resources ")
    )


def pin(api: Api, vmid: int, node: str, *, managed: bool) -> None:
    """Give a guest to HA on one node alone. ``ignored`` until the rule holds; what an earlier one said is forgotten."""
    release = int(str(api.send(calls.version())["version"]).partition(".")[0])
    name = rule(vmid)
    if release >= _RULES_SINCE:
        api.send(calls.set_ha(vmid, "ignored") if managed else calls.join_ha(vmid, "ignored"))
        try:
            api.send(calls.pin_ha(name, vmid, node))
        except RefusedError as error:
            if "already exists" not in error.reason:
                raise
            api.send(calls.unpin_ha(name))
            api.send(calls.pin_ha(name, vmid, node))
        api.send(calls.set_ha(vmid, "started"))
        return
    try:
        api.send(calls.group_ha(name, node))
    except RefusedError as error:
        if "already" not in error.reason:
            raise
        api.send(calls.regroup_ha(name, node))
    if managed:
        api.send(calls.leave_ha(vmid))
    api.send(calls.join_ha(vmid, "started", group=name))


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
