"""What a client is given: one file with everything in it, ``.ovpn``, or the tar that phones take."""

import io
import tarfile
from dataclasses import dataclass
from datetime import datetime

from centralino.vpn.config import Config

PHONES_FILE = "vpn.cnf"
"""What Yealink's and Snom's firmware look for in the tar. Everything is inside it: the folders that separate files
would have to lie in differ by maker and firmware."""
_READABLE_BY_ITS_OWNER = 0o600


@dataclass(frozen=True)
class Credentials:
    """A client's secrets and whom it believes, all PEM."""

    name: str
    ends: datetime
    certificate: str
    key: str
    tls_crypt_v2: str
    server_ca: str


def text(config: Config, credentials: Credentials) -> str:
    """Return the profile for OpenVPN 2.5 and newer (tls-crypt-v2 came with that release)."""
    options = f"""\
# VPN profile {credentials.name} of {config.server}, valid until {credentials.ends:%Y-%m-%d}.
# Who has this file can connect: keep it secret.
client
dev tun
proto {config.protocol}
remote {config.remote} {config.port}
nobind
persist-key
persist-tun
resolv-retry infinite
remote-cert-tls server
verify-x509-name {config.server} name
tls-version-min 1.2
data-ciphers AES-256-GCM:CHACHA20-POLY1305:AES-128-GCM
verb 3
"""
    inside = {
        "ca": credentials.server_ca,
        "cert": credentials.certificate,
        "key": credentials.key,
        "tls-crypt-v2": credentials.tls_crypt_v2,
    }
    return options + "".join(f"<{name}>\n{value.strip()}\n</{name}>\n" for name, value in inside.items())


def phone_tar(profile: str) -> bytes:
    """Return the tar for a phone."""
    content = profile.encode()
    file = tarfile.TarInfo(PHONES_FILE)
    file.size = len(content)
    file.mode = _READABLE_BY_ITS_OWNER
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(file, io.BytesIO(content))
    return packed.getvalue()
