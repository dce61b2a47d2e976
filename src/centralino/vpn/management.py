"""OpenVPN's management interface (its ``doc/management-notes.txt``): who is connected, and ending sessions."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from centralino.vpn.errors import VpnError

HANDSHAKE_SECONDS = 30
"""What the server gives a handshake (``hand-window`` in the role's server.conf)."""
_ANSWER_SECONDS = 10
_IN_HANDSHAKE = "UNDEF"


class NotRunningError(VpnError):
    """Nobody listens: the service is stopped, so there are no sessions."""


@dataclass(frozen=True)
class Session:
    """A client that is connected, or about to be."""

    client_id: str
    name: str
    """Its profile; ``UNDEF`` while it has not yet said who it is."""
    source: str
    """Where it comes from, address:port."""
    address: str
    """What it was given inside the VPN; empty before that."""
    since: str

    @property
    def in_handshake(self) -> bool:
        """Whether it is not yet known who this is."""
        return self.name == _IN_HANDSHAKE


class Management:
    """One conversation; OpenVPN speaks with one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = connection.makefile("r", encoding="utf-8", newline="\r\n")
        self._connection = connection

    def sessions(self) -> list[Session]:
        """Return all sessions."""
        self._say("status 3")
        columns: list[str] = []
        found = []
        for line in self._answer():
            kind, *fields = line.split("\t")
            if kind == "HEADER" and fields[0] == "CLIENT_LIST":
                columns = fields[1:]
            elif kind == "CLIENT_LIST":
                told = dict(zip(columns, fields, strict=False))
                found.append(
                    Session(
                        client_id=told["Client ID"],
                        name=told["Common Name"],
                        source=told["Real Address"],
                        address=told["Virtual Address"],
                        since=told["Connected Since"],
                    )
                )
            elif kind == "END":
                break
        return found

    def end(self, name: str) -> int:
        """End a profile's sessions at once and return how many there were.

        ``kill`` and not ``client-kill``: the latter asks the client to leave and gives it five seconds in which its
        packets still pass.
        """
        self._say(f"kill {name}")
        answer = next(self._answer())
        if not answer.startswith("SUCCESS"):
            return 0
        return int(next((word for word in answer.split() if word.isdigit()), "1"))

    def _say(self, command: str) -> None:
        self._connection.sendall(f"{command}\n".encode())

    def _answer(self) -> Iterator[str]:
        """Yield lines, without what OpenVPN tells unasked; a conversation that breaks off is an error."""
        for line in self._lines:
            if not line.startswith(">"):
                yield line.rstrip("\r\n")
        raise VpnError("OpenVPN ended the conversation: see `systemctl status centralino-openvpn`")


@contextmanager
def open_management(path: Path) -> Iterator[Management]:
    """Talk with OpenVPN. Raises :class:`NotRunningError` where nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            yield Management(connection)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError(
                f"{path}: nobody listens: start it with `systemctl start centralino-openvpn`"
            ) from None
        except OSError as error:
            reason = error.strerror or "no answer in time"
            raise VpnError(
                f"{path}: OpenVPN does not answer ({reason}): see `systemctl status centralino-openvpn`"
            ) from None


def end_sessions(path: Path, name: str) -> int:
    """End all sessions of a profile that has just been revoked, and return how many there were.

    Who had shown the certificate before it was revoked but had not finished the handshake is in no list by name yet:
    those that are in a handshake now are waited for.
    """
    ended = 0
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    with open_management(path) as management:
        pending = {session.client_id for session in management.sessions() if session.in_handshake}
        while True:
            ended += management.end(name)
            pending &= {session.client_id for session in management.sessions() if session.in_handshake}
            if not pending or time.monotonic() > deadline:
                return ended + management.end(name)
            time.sleep(0.2)
