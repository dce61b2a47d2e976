"""Where a request comes from, and what was shown there; nginx sets the headers, and nobody else reaches the panel."""

from ipaddress import ip_address, ip_network

from django.http import HttpRequest

from centralino.contract.bans import plain


def client_address(request: HttpRequest) -> str | None:
    """Return the browser's address."""
    try:
        return str(plain(ip_address(request.headers.get("X-Real-IP", ""))))
    except ValueError:
        return None


def counted_as(address: str) -> str:
    """Return whose attempts those from an address are: its own, or under IPv6 its /64's, by that network's first one.

    A host chooses the last 64 bits itself (RFC 4291 §2.5.1), and may take others for each attempt.
    """
    found = plain(ip_address(address))
    return str(found if found.version == 4 else ip_network((found, 64), strict=False).network_address)  # noqa: PLR2004


def client_counted_as(request: HttpRequest) -> str | None:
    """Return what the browser's attempts are counted as."""
    address = client_address(request)
    return counted_as(address) if address else None


def client_subject(request: HttpRequest) -> str:
    """Return the subject of the certificate that a phone showed and nginx verified; empty where there is none."""
    return request.headers.get("X-Client-Subject", "")
