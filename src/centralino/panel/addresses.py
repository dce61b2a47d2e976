"""Where a request comes from, and what was shown there; nginx sets the headers, and nobody else reaches the panel."""

from ipaddress import ip_address

from django.http import HttpRequest

from centralino.contract.bans import plain


def client_address(request: HttpRequest) -> str | None:
    """Return the browser's address."""
    try:
        return str(plain(ip_address(request.headers.get("X-Real-IP", ""))))
    except ValueError:
        return None


def client_subject(request: HttpRequest) -> str:
    """Return the subject of the certificate that a phone showed and nginx verified; empty where there is none."""
    return request.headers.get("X-Client-Subject", "")
