"""``/etc/centralino/bans.toml``, which role ``bans`` writes."""

from pathlib import Path

from centralino.agent.config import Panel
from centralino.contract import toml_file
from centralino.contract.model import Model

DEFAULT_PATH = Path("/etc/centralino/bans.toml")


class Config(Model):
    """The whole file."""

    state: Path = Path("/var/lib/centralino-bans")
    panel: Panel


def load(path: Path) -> Config:
    """Read and check the configuration.

    Raises:
        ConfigError: with one sentence a finding.

    """
    return toml_file.read(path, Config, role="bans")
