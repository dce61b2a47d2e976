"""Whether a guest lets us in, what is wrong with one that does not, and who answers where nobody should."""

import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
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
_LINK_LOCAL: Final = "169.254."
_SETTLE_SECONDS: Final = 45.0
"""How long a guest may show other addresses than its own before we call it a mistake."""


def reach(api: Api, guest: Guest, node: str, report: Callable[[str, str], None]) -> Guest:
    """Return the guest, with its address, when it lets us in over SSH.

    Its agent, which may never answer, is asked for what is wrong, and for an address by DHCP.

    Raises :class:`ProvisionerError` when the guest's time is over, it stopped again, or it has another address than
    its own.
    """
    begin = asked = time.monotonic()
    deadline = begin + guest.access.timeout
    pause = 0.1
    while True:
        try:
            there = located(api, guest, node)
            ssh.log_in(there, deadline - time.monotonic())
        except NotYetError as not_yet:
            now = time.monotonic()
            addresses: list[str] = []
            if now - asked > _ASK_CLUSTER_EVERY or now > deadline:
                asked = now
                addresses = _addresses(api, guest, node)
            strange = guest.address is not None and addresses and str(guest.address) not in addresses
            if now > deadline or (strange and now - begin > _SETTLE_SECONDS):
                seen = f"its agent sees {', '.join(addresses)}" if addresses else "its agent does not answer"
                raise ProvisionerError(
                    f"{guest.name}: no log-in as {guest.access.user} at {guest.address or 'its address by DHCP'} after "
                    f"{now - begin:.0f} s "
                    f"({not_yet}; {seen}): look at the console of VM {guest.vmid} on {node}"
                ) from None
            report(guest.name, f"waiting for SSH: {not_yet}")
            api.pause(pause)
            pause = min(pause * 1.3, 2.0)
        else:
            return there


def located(api: Api, guest: Guest, node: str) -> Guest:
    """Return the guest with its address; one that has it by DHCP is asked, through its agent.

    Raises :class:`NotYetError` where its agent tells none.
    """
    if guest.address is not None:
        return guest
    own = [address for address in _addresses(api, guest, node) if not address.startswith(_LINK_LOCAL)]
    if not own:
        raise NotYetError("its agent tells no address by DHCP yet")
    network = IPv4Network(f"{guest.gateway}/{guest.prefix}", strict=False)
    # A guest may have more cards and bridges of its own; the network is that of its first card.
    near = [address for address in own if IPv4Address(address) in network]
    return replace(guest, address=IPv4Address((near or own)[0]))


def strangers(guests: Iterable[Guest]) -> list[str]:
    """Return a sentence for each address that answers though its guest does not exist yet.

    A machine that takes or refuses a connection is there; one behind a packet filter that drops is not found.
    """
    known = [guest for guest in guests if guest.address is not None]
    if not known:
        return []
    with ThreadPoolExecutor(max_workers=min(_KNOCKS, len(known))) as pool:
        answers = pool.map(_answers, known)
    return [
        f"{guest.where['ansible_host']}: {guest.address} answers already though {guest.name} does not exist: find out "
        f"whose it is (`ip neighbour show {guest.address}`), or give {guest.name} another address"
        for guest, there in zip(known, answers, strict=True)
        if there
    ]


def _answers(guest: Guest) -> bool:
    if ssh.proxied(guest):
        return False
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
        answer = api.ask(calls.interfaces(node, guest.vmid))
    except (RefusedError, UnansweredError):
        return []
    return [
        str(address["ip-address"])
        for interface in answer.get("result") or ()
        for address in interface.get("ip-addresses") or ()
        if address.get("ip-address-type") == "ipv4" and not str(address["ip-address"]).startswith("127.")
    ]
