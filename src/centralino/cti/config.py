"""The configuration file, ``/etc/centralino/cti.toml``: read, checked, or refused with line, key and remedy."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from centralino.contract.fields import GuestName

DEFAULT_PATH = Path("/etc/centralino/cti.toml")


class ConfigError(Exception):
    """The file cannot be taken; the text holds one sentence a finding, each with file, line and key."""


def _one_line(text: str) -> str:
    if any(c in text for c in "\r\n\0"):
        raise ValueError("holds a line break: write one line")
    return text


Line = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_one_line)]
Port = Annotated[int, Field(ge=1, le=65535)]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\-\[\]:]+$")]
Secret = Annotated[SecretStr, Field(min_length=8, max_length=128)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(_Section):
    """Where browsers connect, and the certificate that they see.

    Without one there is no TLS, which is for a proxy on the same guest that has it: on loopback alone.
    """

    addresses: Annotated[tuple[IPvAnyAddress, ...], Field(min_length=1)]
    port: Port = 8777
    certificate: Path | None = None
    key: Path | None = None

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate and key, or None for plain connections."""
        return (self.certificate, self.key) if self.certificate and self.key else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: name both")
        if self.certificate is None and not all(address.is_loopback for address in self.addresses):
            raise ValueError("certificate is missing: only loopback addresses may be served without TLS")
        return self


class Clients(_Section):
    """Who may connect, and how much of it."""

    origins: tuple[Origin, ...]
    """Pages that may connect (``Origin``, RFC 6454). A program that is no browser sends none: its token counts."""
    total: Annotated[int, Field(ge=1, le=15000)] = 5000
    per_user: Annotated[int, Field(ge=1)] = 20
    per_address: Annotated[int, Field(ge=1)] = 500
    """Generous: a whole company may sit behind one address."""
    message_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = 16384
    queue_bytes: Annotated[int, Field(ge=65536, le=16_777_216)] = 524_288
    """What may wait for a slow reader before it loses its place."""


class Panel(_Section):
    """The panel's agent API, from which the tokens' public keys come; this guest's certificate is the log-in."""

    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+$")]
    certificate: Path
    key: Path
    refresh: Annotated[int, Field(ge=5, le=3600)] = 60
    """Seconds between fetches of the keys."""


class Metrics(_Section):
    """Where Prometheus asks, over plain HTTP: keep it on loopback or on the guests' own network."""

    address: IPvAnyAddress
    port: Port


class Server(_Section):
    """One PBX."""

    name: GuestName
    host: Line
    port: Port = 5039
    tls_name: Line = ""
    """The name in the PBX's certificate; the guest's name where empty."""
    username: Line
    secret: Secret

    @model_validator(mode="before")
    @classmethod
    def _default_tls_name(cls, data: object) -> object:
        if isinstance(data, dict) and not data.get("tls_name") and "name" in data:
            return {**data, "tls_name": data["name"]}
        return data


class Config(_Section):
    """The whole file."""

    ca: Path
    """The internal CA: PBXes and panel must have a certificate of it."""
    listen: Listen
    clients: Clients
    panel: Panel
    metrics: Metrics | None = None
    bans: Path | None = None
    """The socket of this guest's ``centralino-bans``, which is told of attacks; nobody is where it is not set."""
    server: tuple[Server, ...] = ()


def load(path: Path) -> Config:
    """Read and check a file.

    Raises:
        ConfigError: with one sentence a finding.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason}): check the path and the file's owner") from None
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> Config:
    """Return the configuration in ``text``; ``source`` names it in error sentences."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The line's own text is not repeated: it may hold a secret.
        place = re.search(r"line (\d+)", str(error))
        line = place[1] if place else str(text.count("\n") + 1)
        reason = str(error).partition(" (at")[0]
        raise ConfigError(f"{source}:{line}: this is no TOML ({reason}): correct the line") from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        findings = error.errors(include_input=False, include_url=False)[:20]
        raise ConfigError("\n".join(_sentence(text, source, finding) for finding in findings)) from None
    names = [server.name for server in config.server]
    for number, name in enumerate(names):
        if name in names[:number]:
            line = line_of(text, ("server", number, "name"))
            raise ConfigError(f"{source}:{line}: server.{number + 1}.name: {name} appears twice: keep one of them")
    return config


def _sentence(text: str, source: str, finding: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    location = finding["loc"]
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in location) or "the file"
    match finding["type"]:
        case "extra_forbidden":
            reason = "unknown key: remove it or correct its spelling"
        case "missing":
            reason = "missing: add it"
        case "value_error":
            reason = str(finding["ctx"]["error"])
        case _:
            reason = finding["msg"]
    return f"{source}:{line_of(text, location)}: {key}: {reason}"


def line_of(text: str, location: tuple[str | int, ...]) -> int:
    """Return the line of a key (``("server", 1, "port")``), of its section where it is absent, or 1."""
    keys = [part for part in location if isinstance(part, str)]
    index = next((part for part in location if isinstance(part, int)), 0)
    section, found, entry = "", 1, -1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line)
        if header:
            section = header[2]
            entry += header[1] == "[[" and section == keys[0] if keys else 0
        inside = section == keys[0] and (entry in (-1, index)) if keys else False
        if header and inside:
            found = number
        name = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)
        if name and keys and ((not section and name[1] == keys[0]) or (inside and name[1] in keys[1:])):
            return number
    return found
