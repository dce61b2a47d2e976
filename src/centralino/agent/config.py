"""``/etc/centralino/agent.toml``, which role ``pbx_agent`` writes."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, ValidationError

from centralino.contract.fields import GuestName
from centralino.contract.model import Model

DEFAULT_PATH = Path("/etc/centralino/agent.toml")


class ConfigError(Exception):
    """The file cannot be used; the text names file, key and remedy."""


class Panel(Model):
    """Where the panel's agent interface is, and who we are there."""

    url: Annotated[str, StringConstraints(pattern=r"^https://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$")]
    ca: Path
    certificate: Path
    key: Path


class Config(Model):
    """The whole file."""

    pbx: GuestName
    """Our own inventory name: a snapshot for another PBX is refused."""
    state: Path = Path("/var/lib/centralino/agent")
    asterisk: Path = Path("/etc/asterisk")
    panel: Panel


def load(path: Path) -> Config:
    """Read and check the configuration.

    Raises:
        ConfigError: with one sentence a finding.

    """
    return read(path, Config, role="pbx_agent")


def read[M: Model](path: Path, model: type[M], *, role: str) -> M:
    """Read and check a file that ``role`` writes.

    Raises:
        ConfigError: with one sentence a finding.

    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): run role {role} on this guest") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error}): run role {role} on this guest") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentences(error, path, role))) from None


def _sentences(error: ValidationError, path: Path, role: str) -> list[str]:
    sentences = []
    for finding in error.errors():
        key = ".".join(str(part) for part in finding["loc"])
        match finding["type"]:
            case "extra_forbidden":
                text = "unknown key: remove it or correct its spelling"
            case "missing":
                text = f"missing: add it, or run role {role} on this guest"
            case "string_pattern_mismatch" if key == "panel.url":
                text = f"{finding['input']!r} must be https://name:port without a path"
            case _:
                text = f"{finding['msg']} (found {str(finding['input'])[:60]!r})"
        sentences.append(f"{path}: {key}: {text}")
    return sentences
