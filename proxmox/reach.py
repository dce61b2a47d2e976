"""Whether a guest lets us in, what is wrong with one that does not, and who answers where nobody should."""

import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from proxmox import calls, ssh
from proxmox.api import Api
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError, RefusedError, UnansweredError
from proxmox.ssh import NotYetError

_ASK_CLUSTER_EVERY: Final = 5.0
_KNOCKS: Final = 64
_KNOCK_SECONDS: Final = 0.5
"""How long an address is given to answer; a guest that is not there costs this once for all."""
_SETTLE_SECONDS: Final = 45.0
"""How long a guest may show other addresses than its own before we call it a mistake."""


def reach(api: Api, guest: Guest, node: str, report: Callable[[str, str], None]) -> None:
    """Return when the guest lets us in over SSH; its agent, which may never answer, is asked only for what is wrong.

    Raises :class:`ProvisionerError` when the guest's time is over, it stopped again, or it has another address than
    its own.
    """
    begin = asked = time.monotonic()
    deadline = begin + guest.access.timeout
    pause = 0.1
    while True:
        try:
            ssh.log_in(guest, deadline - time.monotonic())
        except NotYetError as not_yet:
            now = time.monotonic()
            addresses: list[str] = []
            if now - asked > _ASK_CLUSTER_EVERY or now > deadline:
                asked = now
                addresses = _addresses(api, guest, node)
            if now > deadline or (addresses and str(guest.address) not in addresses and now - begin > _SETTLE_SECONDS):
                seen = f"its agent sees {', '.join(addresses)}" if addresses else "its agent does not answer"
                raise ProvisionerError(
                    f"{guest.name}: no log-in as {guest.access.user} at {guest.address} after {now - begin:.0f} s "
                    f"({not_yet}; {seen}): look at the console of VM {guest.vmid} on {node}"
                ) from None
            report(guest.name, f"waiting for SSH: {not_yet}")
            api.pause(pause)
            pause = min(pause * 1.3, 2.0)
        else:
            return


def strangers(guests: Iterable[Guest]) -> list[str]:
    """Return a sentence for each address that answers though its guest does not exist yet.

    A machine that takes or refuses a connection is there; one behind a packet filter that drops is not found.
    """
    direct = [guest for guest in guests if not ssh.proxied(guest.access)]
    if not direct:
        return []
    with ThreadPoolExecutor(max_workers=min(_KNOCKS, len(direct))) as pool:
        answers = pool.map(_answers, direct)
    return [
        f"{guest.where['ansible_host']}: {guest.address} answers already though {guest.name} does not exist: find out "
        f"whose it is (`ip neighbour show {guest.address}`), or give {guest.name} another address"
        for guest, there in zip(direct, answers, strict=True)
        if there
    ]


def _answers(guest: Guest) -> bool:
    try:
        with socket.create_connection((str(guest.address), guest.access.port), timeout=_KNOCK_SECONDS):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _addresses(api: Api, guest: Guest, node: str) -> list[str]:
    """Return the guest's IPv4 addresses as its agent sees them; nothing where no agent answers."""
    if api.send(calls.status(node, guest.vmid)).get("status") != "running":
        raise ProvisionerError(
            f"{guest.name}: VM {guest.vmid} on {node} stopped again after its start: look at its console and task list"
        )
    try:
        answer = api.send(calls.interfaces(node, guest.vmid))
    except (RefusedError, UnansweredError):
        return []
    return [
        str(address["ip-address"])
        for interface in answer.get("result") or ()
        for address in interface.get("ip-addresses") or ()
        if address.get("ip-address-type") == "ipv4" and not str(address["ip-address"]).startswith("127.")
    ]
