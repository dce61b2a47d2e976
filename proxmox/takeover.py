"""A lost guest that HA does not manage, moved without it: its configuration goes to another node's folder.

No call of the API does that; ``mv`` below ``/etc/pve/nodes`` on a living node does (pvesr(1), "Migrating a guest in
case of Error"), and the inventory names a program for it. HA waits a minute to be sure that a node is gone; here
somebody has proved it.
"""

import time
from typing import Final

from proxmox import hooks, state
from proxmox.api import Api
from proxmox.errors import ProvisionerError, RefusedError, UnansweredError
from proxmox.inventory import shown
from proxmox.session import Session
from proxmox.state import Machine

_NOTE: Final = "RUN /takeover/qemu/"
"""How the journal notes the program, before it is run."""
_ARRIVAL_SECONDS: Final = 30


def begun(opened: Session) -> frozenset[int]:
    """Return the guests that a run which did not reach its end has taken over, or was about to."""
    texts = [request.text for request in opened.unfinished() if request.command == opened.options.command]
    return frozenset(int(text.split(" ")[1].rpartition("/")[2]) for text in texts if text.startswith(_NOTE))


def take(opened: Session, vmid: int, dead: str, target: str) -> None:
    """Have the inventory's program move a guest's configuration. Raises :class:`ProvisionerError`."""
    hook, notes = opened.whole.takeover_hook, opened.journal
    if hook is None or notes is None:
        raise AssertionError("a takeover has a hook, and is written down")
    number = notes.intend(f"{_NOTE}{vmid}", {"target": target})
    said = hooks.failure(hook, str(vmid), dead, target)
    notes.end(number, said or "done")
    if said:
        raise ProvisionerError(
            f"proxmox_takeover_hook: {shown(hook)} does not bring {vmid} from {dead} to {target} ({said}): correct it, "
            "or leave it out and let HA do it in a minute; then run again"
        )


def arrived(api: Api, vmid: int, target: str) -> Machine:
    """Read a machine where it was taken to. Raises :class:`ProvisionerError` where it does not get there."""
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while True:
        try:
            return state.machine(api.send, target, vmid)
        except (RefusedError, UnansweredError) as error:
            if time.monotonic() > deadline:
                raise ProvisionerError(
                    f"{vmid} is not on {target} {_ARRIVAL_SECONDS} s after proxmox_takeover_hook said that all is "
                    f"well ({error}): try it by hand, then run again"
                ) from None
        api.pause(0.5)
