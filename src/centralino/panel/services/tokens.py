"""The token by which a page is let into the CTI proxy."""

import secrets
import time
from dataclasses import dataclass
from ipaddress import ip_network

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from centralino.contract.tokens import ALGORITHM, LIFETIME, Claims
from centralino.panel.models import Tenant, User
from centralino.panel.services import keys


@dataclass(frozen=True)
class Token:
    """A signed token and when it ends (seconds since 1970)."""

    token: str
    expires: int


def issue(user: User, tenant: Tenant) -> Token:
    """Return a token for a person and the tenant that is looked at.

    Who may look at which tenant is decided before, by :func:`centralino.panel.services.tenants.visible_to`; it is
    checked here once more, because this signature is what keeps tenants apart at the CTI proxy.
    """
    if not user.is_operator and user.tenant_id != tenant.id:
        raise PermissionError(f"{user.login} belongs to tenant {user.tenant_id}, not to {tenant.id}")
    now = int(time.time())
    claims = Claims(
        sub=user.login,
        tenant=tenant.id,
        extension=user.extension.number if user.extension else None,
        networks=() if user.is_operator else tuple(ip_network(network) for network in tenant.networks),
        role=user.role,  # type: ignore[arg-type]  # the table's constraint allows the contract's words alone
        iat=now,
        exp=now + LIFETIME,
        jti=secrets.token_urlsafe(12),
    )
    key = keys.signing_key()
    private = Ed25519PrivateKey.from_private_bytes(bytes(key.private))
    payload = claims.model_dump(mode="json", exclude_none=True)
    return Token(jwt.encode(payload, private, algorithm=ALGORITHM, headers={"kid": key.kid}), claims.exp)
