"""``/etc/centralino/agent.toml``, which role ``pbx_agent`` writes."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from centralino.contract import toml_file
from centralino.contract.fields import GuestName
from centralino.contract.model import Model

DEFAULT_PATH = Path("/etc/centralino/agent.toml")
_URL: Final = re.compile(r"https://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def _checked_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError(f"{url!r} must be https://name:port without a path")
    return url


class Panel(Model):
    """Where the panel's agent interface is, and who we are there."""

    url: Annotated[str, AfterValidator(_checked_url)]
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
    return toml_file.read(path, Config, role="pbx_agent")
