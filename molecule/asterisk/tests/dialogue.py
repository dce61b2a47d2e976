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


class Line:
    """One socket to SIP, over TLS or UDP."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._connection = connection
        self._host = host
        self._address = "{}:{}".format(*connection.getsockname())
        self._transport = "TLS" if isinstance(connection, ssl.SSLSocket) else "UDP"

    def options(self) -> str:
        """Send an OPTIONS request (RFC 3261 §11) and return the answer."""
        return self._request("OPTIONS", "nobody")

    def register(self, endpoint: str) -> str:
        """Register this socket as the place where an endpoint is reached (RFC 3261 §10), and return the answer."""
        contact = f"<sip:{endpoint}@{self._address};transport={self._transport.lower()}>"
        return self._request("REGISTER", endpoint, f"Contact: {contact}", "Expires: 60")

    def receive(self) -> str:
        """Return what Asterisk sends next."""
        return self._connection.recv(65535).decode()

    def _request(self, method: str, user: str, *headers: str) -> str:
        lines = [
            f"{method} sip:{self._host} SIP/2.0",
            f"Via: SIP/2.0/{self._transport} {self._address};branch=z9hG4bK{secrets.token_hex(8)};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{self._host}>;tag={secrets.token_hex(4)}",
            f"To: <sip:{user}@{self._host}>",
            f"Call-ID: {secrets.token_hex(8)}",
            f"CSeq: 1 {method}",
            *headers,
            "Content-Length: 0",
        ]
        self._connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return self.receive()


@contextmanager
def sip_line(host: str, port: int, *, context: ssl.SSLContext | None = None) -> Iterator[Line]:
    """Connect to SIP, over TLS where a context is given."""
    kind = socket.SOCK_STREAM if context else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as plain:
        plain.settimeout(SECONDS)
        plain.connect((host, port))
        if context:
            with context.wrap_socket(plain, server_hostname=host) as connection:
                yield Line(connection, host)
        else:
            yield Line(plain, host)


def sip_options(host: str, port: int, *, context: ssl.SSLContext | None = None) -> str:
    """Send an OPTIONS request on a line of its own and return the answer."""
    with sip_line(host, port, context=context) as line:
        return line.options()


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
