"""``/etc/centralino/vpn.toml``, which role ``openvpn`` writes."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from centralino.contract.fields import GuestName
from centralino.contract.model import Model
from centralino.vpn.errors import VpnError

DEFAULT_PATH = Path("/etc/centralino/vpn.toml")
_REMEDY = "run role openvpn on this guest"

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
    """Read and check the configuration. Raises :class:`VpnError` with one sentence a finding."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VpnError(f"{path}: cannot be read ({error.strerror}): {_REMEDY}, or try again with sudo") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise VpnError(f"{path}: is no TOML ({error}): {_REMEDY}") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        findings = (f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}: {_REMEDY}" for each in error.errors())
        raise VpnError("\n".join(findings)) from None
