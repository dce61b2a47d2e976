"""Where a request comes from."""

from ipaddress import ip_address

from django.http import HttpRequest

from centralino.contract.bans import plain


def client_address(request: HttpRequest) -> str | None:
    """Return the browser's address; nginx sets the header, and the panel listens to nobody else."""
    try:
        return str(plain(ip_address(request.headers.get("X-Real-IP", ""))))
    except ValueError:
        return None
