"""A relay on this machine that takes mail over TLS alone and remembers what it took."""

import base64
import os
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from testinfra.host import Host

ADDRESS = "198.18.0.1"
AUTHORITY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki"


@dataclass
class Mail:
    """What came in one message; ``tls`` is the protocol's version, ``login`` the name and password that were given."""

    tls: str
    login: str
    sender: str
    recipients: list[str] = field(default_factory=list)
    text: str = ""


class Relay:
    """Listens while it is entered. ``name`` is in its certificate, ``login`` the one that it asks for, if any."""

    def __init__(
        self,
        port: int,
        folder: Path,
        *,
        name: str,
        login: str = "",
        implicit_tls: bool = False,
        offers_tls: bool = True,
    ) -> None:
        self.mails: list[Mail] = []
        self.attempts = 0
        self._port, self._login = port, login
        self._implicit_tls, self._offers_tls = implicit_tls, offers_tls
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate(folder, name))

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._socket = socket.create_server((ADDRESS, self._port))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def wait(self, seconds: float = 20) -> Mail:
        """Return the only mail, once it has come."""
        end = time.monotonic() + seconds
        while not self.mails and time.monotonic() < end:
            time.sleep(0.1)
        assert len(self.mails) == 1, self.mails
        return self.mails[0]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.attempts += 1
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._implicit_tls:
                connection = self._context.wrap_socket(connection, server_side=True)
            lines = connection.makefile("rwb")
            say(lines, "220 relay.example.com")
            while self._commands(lines, tls_of(connection)) == "STARTTLS":
                connection = self._context.wrap_socket(connection, server_side=True)
                lines = connection.makefile("rwb")
        except OSError:
            connection.close()

    def _offer(self, tls: str) -> str:
        if tls:
            return "250-AUTH PLAIN"
        return "250-STARTTLS" if self._offers_tls else "250-8BITMIME"

    def _commands(self, lines: IO[bytes], tls: str) -> str:
        """Answer commands; return the one that ended it."""
        mail, login = Mail(tls, "", ""), ""
        while line := lines.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            match verb:
                case "EHLO":
                    say(lines, "250-relay.example.com", self._offer(tls), "250 SIZE 99999999")
                case "STARTTLS" | "QUIT":
                    say(lines, "220 go on")
                    return verb
                case "AUTH":
                    login = base64.b64decode(rest.split()[1]).decode().replace("\0", ":").lstrip(":")
                    say(lines, "235 welcome" if login == self._login else "535 no")
                case "MAIL" if not tls or login != self._login:
                    say(lines, "530 first TLS, then the log-in")
                case "MAIL":
                    mail = Mail(tls, login, address(rest))
                    say(lines, "250 yes")
                case "RCPT":
                    mail.recipients.append(address(rest))
                    say(lines, "250 yes")
                case "DATA":
                    say(lines, "354 go on")
                    while (text := lines.readline().decode()) not in {".\r\n", ""}:
                        mail.text += text
                    self.mails.append(mail)
                    say(lines, "250 taken")
                case _:
                    say(lines, "250 yes")
        return ""


def tls_of(connection: socket.socket) -> str:
    """Return the version of TLS that is spoken, empty for none."""
    return (connection.version() or "") if isinstance(connection, ssl.SSLSocket) else ""


def address(words: str) -> str:
    """Return what stands between angle brackets."""
    return words.partition("<")[2].partition(">")[0]


def say(lines: IO[bytes], *words: str) -> None:
    """Answer."""
    lines.write("".join(f"{line}\r\n" for line in words).encode())
    lines.flush()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a certificate of the scenario's authority for a name, and its key."""
    key, request, crt = folder / "key", folder / "csr", folder / "crt"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    alternative = ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(
        ["openssl", "req", *new, *alternative, "-keyout", key, "-out", request], check=True, capture_output=True
    )
    authority = [
        "-CA",
        AUTHORITY / "ca.crt",
        "-CAkey",
        AUTHORITY / "ca.key",
        "-CAcreateserial",
        "-CAserial",
        folder / "srl",
    ]
    sign = ["openssl", "x509", "-req", "-copy_extensions", "copy", "-in", request, *authority, "-out", crt]
    subprocess.run(sign, check=True, capture_output=True)
    return crt, key


def know(host: Host, name: str) -> None:
    """Tell the guest where the relay is, as its name server would; Postfix reads that when it starts."""
    host.check_output(
        "grep -q %s /etc/hosts || { echo %s >>/etc/hosts; systemctl restart postfix; }", name, f"{ADDRESS} {name}"
    )
