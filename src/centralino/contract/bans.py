"""Bans: addresses that every guest of the cluster drops, who reported them, and the list that guests keep in force."""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, IPvAnyAddress, StringConstraints

from centralino.contract.fields import GuestName
from centralino.contract.model import Model

DAY: Final = 86_400
MAX_SECONDS: Final = 365 * DAY
MAX_REPORT_BYTES: Final = 2048
"""A report is one datagram at the guest's own socket, and a small body at the panel."""

Part = Literal["sip", "panel", "phones", "vpn", "cti", "operator"]
"""What saw the attack: Asterisk, the panel's log-in, phone provisioning, OpenVPN, the CTI proxy, or a person."""


def plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the address that packets carry: an IPv4 address written as an IPv6 one (RFC 4291 §2.5.5.2) is IPv4."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Tell whether an address lies in one of the networks; what is no address lies in none."""
    try:
        found = plain(ip_address(address))
    except ValueError:
        return False
    return any(found in network for network in networks)


def _one_host(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    address = plain(address)
    if address.is_unspecified or address.is_multicast or getattr(address, "scope_id", None):
        raise ValueError(f"{address} is not the address of one host: name the one that packets come from")
    return address


BannableAddress = Annotated[IPvAnyAddress, AfterValidator(_one_host)]

Reason = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A sentence for the person who looks at the list."""


class Report(Model):
    """What a part of the cluster has seen, and for how long it wants the address gone."""

    address: BannableAddress
    part: Part
    reason: Reason
    seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS)] = DAY


class Ban(Model):
    """An address that is blocked on the whole cluster until then."""

    address: BannableAddress
    part: Part
    guest: GuestName
    reason: Reason
    since: AwareDatetime
    until: AwareDatetime


class BanList(Model):
    """All bans in force, by address; ``format`` rises when an older guest could misread the rest."""

    format: Literal[1] = 1
    bans: tuple[Ban, ...] = ()

    def document(self) -> bytes:
        """Return the JSON that is sent and hashed."""
        return self.model_dump_json().encode()

    @property
    def etag(self) -> str:
        """The entity tag (RFC 9110 §8.8.3, without quotes): 16 hexadecimal digits of the document's SHA-256."""
        return etag_of(self.document())


def etag_of(document: bytes) -> str:
    """Return the entity tag of a list's document."""
    return hashlib.sha256(document).hexdigest()[:16]
