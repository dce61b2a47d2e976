"""Names of tenants' objects inside Asterisk: every one of tenant 175 begins ``t175-``, so isolation is a prefix."""

import re
import secrets
import string

MAX_TENANT_ID = 99_999_999
"""Keeps every name within Asterisk's 79 characters for a context (``AST_MAX_CONTEXT``)."""

PARKING_SPACES = (701, 799)
"""The spaces of a tenant's parking lot, the last one included; they are no extensions and take no number away."""

PARKING_CODE = "*85"
"""Dialled with a space behind it, takes the call that is parked there."""

DND_CODES = ("*78", "*79")
"""Dialled by a phone, turn do-not-disturb of its extension on and off."""

FORWARD_CODES = ("*72", "*73")
"""Dialled by a phone with a number behind it, forwards its extension's calls there; the second ends that."""

PRESENCE_PROVIDER = "CustomPresence"
"""The provider of the presence states of Asterisk's that hold both (``dnd_state``, ``forward_state``)."""

DISTURB, DO_NOT_DISTURB, FORWARDED = "available", "dnd", "xa"
"""Their values, of the few words that a presence state may be: neither, do-not-disturb, a forward."""

WISH_KEY = r"t([1-9][0-9]{0,7})-(dnd|forward)-([0-9]{2,8})"
"""What stands behind the provider (``wish_key``), as a pattern: tenant, kind, and number of the extension."""

_TENANT = re.compile(r"t([1-9][0-9]{0,7})(?:-|\Z)")
_ALPHABET = string.ascii_lowercase + string.digits
_ENDPOINT_LENGTH = 12
_SECRET_LENGTH = 32


def tenant_prefix(tenant_id: int) -> str:
    """Return the prefix of all names of a tenant, ``t175-``."""
    return f"t{tenant_id}-"


def account_code(tenant_id: int) -> str:
    """Return the account code that a tenant's calls carry, ``t175``."""
    return f"t{tenant_id}"


def internal_context(tenant_id: int) -> str:
    """Return the context in which a tenant's extensions dial each other and their hints live."""
    return f"{tenant_prefix(tenant_id)}internal"


def parking_lot(tenant_id: int) -> str:
    """Return the parking lot of a tenant."""
    return f"{tenant_prefix(tenant_id)}parking"


def wish_key(account: str, kind: str, number: str) -> str:
    """Return what a presence state of an extension's is called behind its provider, ``t175-forward-101``."""
    return f"{account}-{kind}-{number}"


def dnd_state(account: str, number: str) -> str:
    """Return the presence state that says whether an extension is not to be disturbed."""
    return f"{PRESENCE_PROVIDER}:{wish_key(account, 'dnd', number)}"


def forward_state(account: str, number: str) -> str:
    """Return the presence state that says where an extension's calls go; its message is the number."""
    return f"{PRESENCE_PROVIDER}:{wish_key(account, 'forward', number)}"


def tenant_of(name: str) -> int | None:
    """Return the tenant that an Asterisk object (``t175-internal``, ``t175``) belongs to, or None for nobody's."""
    match = _TENANT.match(name)
    return int(match[1]) if match else None


def tenant_of_channel(channel: str) -> int | None:
    """Return the tenant of a channel name such as ``PJSIP/t175-k3…-0000002a``, or None where its name tells none.

    Only the part behind the technology counts: ``Local/x@t175-internal`` names a context that a caller may choose, and
    is nobody's.
    """
    technology, _, rest = channel.partition("/")
    return tenant_of(rest) if technology == "PJSIP" else None


def new_endpoint_name(tenant_id: int) -> str:
    """Return a new random endpoint name of a tenant; it never holds an extension's number on purpose."""
    return tenant_prefix(tenant_id) + "".join(secrets.choice(_ALPHABET) for _ in range(_ENDPOINT_LENGTH))


def new_sip_secret() -> str:
    """Return a new SIP password of 32 letters and digits (165 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
