"""The two languages that the tests speak to Asterisk: a SIP request and its answer, and the manager interface (AMI)."""

import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 5.0


def tls_context(ca: str) -> ssl.SSLContext:
    """Return a context that trusts the scenario's authority (PEM text) alone."""
    return ssl.create_default_context(cadata=ca)


def sip_options(host: str, port: int, *, context: ssl.SSLContext | None = None) -> str:
    """Send an OPTIONS request (RFC 3261 §11), over TLS where a context is given, and return the answer."""
    kind = socket.SOCK_STREAM if context else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as plain:
        plain.settimeout(SECONDS)
        plain.connect((host, port))
        connection = context.wrap_socket(plain, server_hostname=host) if context else plain
        address = "{}:{}".format(*connection.getsockname())
        request = (
            f"OPTIONS sip:{host} SIP/2.0\r\n"
            f"Via: SIP/2.0/{'TLS' if context else 'UDP'} {address};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:nobody@{host}>;tag={secrets.token_hex(4)}\r\n"
            f"To: <sip:{host}>\r\n"
            f"Call-ID: {secrets.token_hex(8)}\r\n"
            "CSeq: 1 OPTIONS\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        connection.sendall(request.encode())
        return connection.recv(65535).decode()


class Manager:
    """One connection to the manager interface."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._file = connection.makefile("rwb")
        self.greeting = self._file.readline().decode().strip()

    def action(self, name: str, **headers: str) -> dict[str, str]:
        """Send an action and return its response; events that come before it are passed over."""
        lines = [f"Action: {name}", *(f"{key}: {value}" for key, value in headers.items())]
        self._file.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file.flush()
        while True:
            message = self.message()
            if not message or "Response" in message:
                return message

    def message(self) -> dict[str, str]:
        """Return the next message; an empty one when Asterisk has closed the connection."""
        message: dict[str, str] = {}
        while line := self._file.readline().decode().strip():
            key, _, value = line.partition(": ")
            message[key] = value
        return message


@contextmanager
def manager(host: str, port: int, context: ssl.SSLContext) -> Iterator[Manager]:
    """Connect to the manager interface over TLS."""
    with (
        socket.create_connection((host, port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        yield Manager(connection)
