"""The token that lets a browser into the CTI proxy: an Ed25519-signed JWT (RFC 7519, RFC 8037), made by the panel."""

from typing import Annotated, Final, Literal

from pydantic import Field

from centralino.contract.fields import ExtensionNumber, Networks, TenantId
from centralino.contract.model import Model

ALGORITHM: Final = "EdDSA"
ISSUER: Final = "centralino-panel"
AUDIENCE: Final = "centralino-cti"
LIFETIME: Final = 300
"""Seconds from issue to expiry; a page takes a new token before each connect, an open connection outlives its token."""

Role = Literal["user", "supervisor", "administrator", "operator"]


class Claims(Model):
    """The token's payload. ``exp`` and ``iat`` are seconds since 1970 (RFC 7519 §4.1)."""

    iss: Literal["centralino-panel"] = ISSUER
    aud: Literal["centralino-cti"] = AUDIENCE
    sub: Annotated[str, Field(min_length=1, max_length=150)]
    """The log-in name."""
    tenant: TenantId
    extension: ExtensionNumber | None = None
    role: Role
    networks: Networks = ()
    """Where the bearer may connect from: the tenant's allow-list; empty for anywhere."""
    iat: int
    exp: int
    jti: Annotated[str, Field(min_length=8, max_length=64)]


class PublicKey(Model):
    """One verification key as a JSON Web Key (RFC 8037 §2)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"
    kid: Annotated[str, Field(min_length=1, max_length=64)]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class KeySet(Model):
    """The keys that are valid now (JWK Set, RFC 7517 §5)."""

    keys: tuple[PublicKey, ...]
