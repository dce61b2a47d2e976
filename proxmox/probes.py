"""Is the service itself back? Asked as its users would: SIP, the panel's health page, the CTI's WebSocket."""

import base64
import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proxmox.desired import Guest

_SECONDS: Final = 3.0
_SIP_PORT, _PANEL_PORT, _CTI_PORT = 5060, 443, 8777


class SilentError(Exception):
    """The service does not answer; the text says how."""


def sip(host: str, port: int = _SIP_PORT) -> None:
    """Send OPTIONS over UDP and wait for any answer (RFC 3261, section 11); a refusal is an answer too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(_SECONDS)
        try:
            link.connect((host, port))
            own, own_port = link.getsockname()
            link.send(_options(host, port, own, own_port))
            answer = link.recv(4096)
        except OSError as error:
            raise SilentError(f"SIP: {error.strerror or error}") from None
    if not answer.startswith(b"SIP/2.0 "):
        raise SilentError("SIP: something else answers on its port")


def _options(host: str, port: int, own: str, own_port: int) -> bytes:
    identity = secrets.token_hex(8)
    lines = (
        f"OPTIONS sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {own}:{own_port};branch=z9hG4bK{identity};rport",
        "Max-Forwards: 70",
        f"From: <sip:probe@{own}>;tag={identity}",
        f"To: <sip:{host}>",
        f"Call-ID: {identity}@{own}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def panel(host: str, port: int = _PANEL_PORT, *, ca: Path | None = None) -> None:
    """Ask the panel's health page, which asks its database."""
    if (status := _get(host, port, ca, "/health")) != http.HTTPStatus.OK:
        raise SilentError(f"panel: answers {status}")


def cti(host: str, port: int = _CTI_PORT, *, ca: Path | None = None) -> None:
    """Open a WebSocket (RFC 6455, section 4.1)."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    if (status := _get(host, port, ca, "/live", upgrade)) != http.HTTPStatus.SWITCHING_PROTOCOLS:
        raise SilentError(f"CTI: answers {status}")


def _get(host: str, port: int, ca: Path | None, path: str, headers: Mapping[str, str] | None = None) -> int:
    """Return the status of an answer over verified TLS."""
    context = ssl.create_default_context(cafile=ca if ca and ca.is_file() else None)
    try:
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
        connection.request("GET", path, headers=dict(headers or {}))
        status = connection.getresponse().status
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise SilentError(f"port {port}: {error}") from None
    return status


def of_guest(guest: Guest) -> tuple[Callable[[], None], ...]:
    """Return the questions for a guest's function groups; none where a log-in is all that can be asked."""
    host = str(guest.address)
    by_group: dict[str, Callable[[], None]] = {
        "pbx": lambda: sip(host),
        "web": lambda: panel(host, ca=guest.service_ca),
        "cti": lambda: cti(host, ca=guest.service_ca),
    }
    return tuple(question for group, question in by_group.items() if group in guest.groups)


def answered(guest: Guest, seconds: float, pause: Callable[[float], None], report: Callable[[str, str], None]) -> None:
    """Wait until all services of a guest answer. Raises :class:`SilentError` when the time is over."""
    deadline = time.monotonic() + seconds
    for question in of_guest(guest):
        while True:
            try:
                question()
                break
            except SilentError as silence:
                if time.monotonic() > deadline:
                    raise
                report(guest.name, f"waiting for its service: {silence}")
                pause(0.5)
