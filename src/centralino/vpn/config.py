"""``/etc/centralino/vpn.toml``, which role ``openvpn`` writes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from centralino.contract import toml_file
from centralino.contract.fields import GuestName
from centralino.contract.model import Model

DEFAULT_PATH = Path("/etc/centralino/vpn.toml")

Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=1)]


class Config(Model):
    """The whole file."""

    server: GuestName
    """Common name of the server's certificate; a client accepts no other guest of the cluster in its place."""
    server_ca: Path
    """The authority that signed the server's certificate: the cluster's internal one."""
    remote: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]+$")]
    """Name or address that clients connect to."""
    port: Port = 1194
    protocol: Literal["udp", "tcp"] = "udp"
    folder: Path = Path("/var/lib/centralino/vpn")
    """The authority, its list of profiles and its revocation list."""
    management: Path = Path("/run/centralino-openvpn/management.sock")
    """OpenVPN's management interface."""
    profile_days: Days
    crl_days: Days


def load(path: Path) -> Config:
    """Read and check the configuration.

    Raises:
        ConfigError: with one sentence a finding.

    """
    return toml_file.read(path, Config, role="openvpn")
