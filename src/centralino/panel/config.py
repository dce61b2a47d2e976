"""What the panel is told about its site: ``/etc/centralino/panel.toml``, written by the role ``panel``."""

import functools
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from centralino.contract.fields import GuestName, Networks
from centralino.contract.phones import Host, PhoneDefaults
from centralino.phones.models import MODELS

PATH_VARIABLE = "CENTRALINO_PANEL_CONFIG"
DEFAULT_PATH = Path("/etc/centralino/panel.toml")


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence a finding, naming file, key and remedy."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path must be absolute")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """Where PostgreSQL is: a folder with its socket (peer authentication), or a host that asks for a certificate."""

    name: str = "centralino"
    user: str = "centralino-panel"
    host: str = "/run/postgresql"
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    ca: AbsolutePath | None = None
    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.host.startswith("/") and not (self.ca and self.certificate and self.key):
            raise ValueError("a database on another host is reached over TLS alone: set ca, certificate and key")
        return self


class Phones(_Section):
    """What desk phones are given, and where."""

    url: Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.\-\[\]:]+/([A-Za-z0-9-]+/)+$")]
    """Where phones reach the panel, ``https://web01.example.org/phones/``."""
    servers: dict[GuestName, Host]
    """By which name or address phones reach each PBX."""
    tls_port: Annotated[int, Field(ge=1, le=65535)] = 5061
    udp_port: Annotated[int, Field(ge=1, le=65535)] = 5060
    ca: AbsolutePath | None = None
    """The authority by which phones know the PBX; none where it is a public one."""
    armed_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """How long a new phone may take to fetch its secrets."""
    certificates: Literal["accepted", "required"] | None = None
    """Whether a vendor's certificate is needed; one that is shown must be the phone's own. None asks for none."""
    defaults: PhoneDefaults = PhoneDefaults()

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = sorted(self.defaults.models.keys() - MODELS.keys())
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no model of a phone that is known here (docs/phones.md lists them)")
        return self


class PanelConfig(_Section):
    """The whole file."""

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    """The names and addresses by which browsers reach the panel; a request for another one is refused."""
    secret_key: Annotated[str, StringConstraints(min_length=50)]
    """Signs sessions and forms."""
    former_secret_keys: tuple[str, ...] = ()
    """Still accepted, so that a change of the key logs nobody out."""
    cti_url: Annotated[str, StringConstraints(pattern=r"^wss://[A-Za-z0-9.\-\[\]:]+$")]
    """Where browsers reach the CTI proxy, without path: ``wss://cti.example.org:8777``."""
    guests: dict[GuestName, Literal["pbx", "cti", "guest"]] = {}
    """The guests that may use the agent API, by the name in their certificate; ``guest`` may report and fetch bans."""
    never_banned: Networks = ()
    """Nothing in these networks is ever banned: the cluster's own guests, its operators, its carriers."""
    static_root: AbsolutePath = Path("/var/lib/centralino/panel/static")
    database: Database = Database()
    phones: Phones | None = None
    """Absent where no phone is provisioned."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        missing = sorted(set(self.pbxs) - self.phones.servers.keys()) if self.phones else []
        if missing:
            raise ValueError(f"phones.servers does not say how phones reach {missing[0]}")
        return self

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """The hosts, and what phones call this one: a request for another is refused, and told to nobody."""
        if self.phones is None:
            return self.hosts
        return (*self.hosts, re.sub(r":\d+$", "", self.phones.url.split("/")[2]))

    @property
    def pbxs(self) -> tuple[str, ...]:
        """The names of all PBX, in order."""
        return tuple(sorted(name for name, kind in self.guests.items() if kind == "pbx"))


def load(path: Path | None = None) -> PanelConfig:
    """Return the configuration in ``path``, by default in the file that ``CENTRALINO_PANEL_CONFIG`` names.

    Raises:
        ConfigError: the file is missing, unreadable, no TOML, or holds a key or value that is not understood.

    """
    path = path or Path(os.environ.get(PATH_VARIABLE, DEFAULT_PATH))
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file: run the role panel, or set {PATH_VARIABLE}") from None
    except PermissionError:
        raise ConfigError(f"{path}: may not be read by this user: run the command as root or with sudo") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}): run the role panel again") from None
    try:
        return PanelConfig.model_validate(data)
    except ValidationError as error:
        findings = (
            f"{path}: {'.'.join(str(part) for part in finding['loc']) or 'the file'}: {finding['msg']}: "
            "correct it in the inventory and run the role panel again"
            for finding in error.errors(include_input=False)
        )
        raise ConfigError("\n".join(findings)) from None


@functools.cache
def site() -> PanelConfig:
    """Return this process's configuration, read once.

    Raises:
        ConfigError: as :func:`load`.

    """
    return load()


if __name__ == "__main__":  # `python -m centralino.panel.config FILE`: the role asks before it puts a file in place
    try:
        load(Path(sys.argv[1]))
    except ConfigError as error:
        sys.exit(str(error))
