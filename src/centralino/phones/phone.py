"""What a phone's files are made of."""

from dataclasses import dataclass, field

from centralino.contract.fields import Transport
from centralino.contract.phones import Settings


@dataclass(frozen=True)
class Account:
    """One SIP account on a phone. ``secret`` is None where it is not handed out now: the phone keeps what it has."""

    endpoint: str
    number: str
    name: str
    secret: str | None
    transport: Transport = "tls"


@dataclass(frozen=True)
class Server:
    """The PBX that the accounts register at."""

    host: str
    tls_port: int = 5061
    udp_port: int = 5060

    def port(self, transport: Transport) -> int:
        """Return the port of a transport."""
        return self.tls_port if transport == "tls" else self.udp_port


@dataclass(frozen=True)
class Passwords:
    """Of the phone's own menu and web page: the administrator's, and that of the person whose desk it stands on."""

    admin: str
    user: str


@dataclass(frozen=True)
class Phone:
    """A phone with all that its files say.

    ``url`` is the phone's own folder and ends with a slash. ``passwords`` is None, and so is every account's secret,
    where secrets are not handed out now.
    """

    mac: str
    model: str
    url: str
    server: Server
    accounts: tuple[Account, ...]
    settings: Settings = field(default_factory=Settings)
    passwords: Passwords | None = None
    ca: str = ""
    """The authority (PEM) by which the phone knows the PBX; empty where it is a public one."""


@dataclass(frozen=True)
class Entry:
    """A line of the phonebook."""

    name: str
    number: str


@dataclass(frozen=True)
class File:
    """What a phone is given."""

    content: bytes
    media_type: str
