"""Forwards and do-not-disturb as Asterisk keeps them, and which are nobody's any more (pure).

Asterisk knows them by tenant and number alone, over a restart and beyond the extension's end: who gets the number next
must not find the wishes of whoever had it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from centralino.contract.names import DISTURB, PRESENCE_PROVIDER, WISH_KEY, account_code, wish_key
from centralino.contract.snapshot import Snapshot

LISTING = f"database show {PRESENCE_PROVIDER}"
"""The command for :func:`listed`; ``presencestate list`` leaves out what it does not understand."""

# "%-50s: %-25s", key and value (main/db.c of Asterisk 22)
_KEPT = re.compile(rf"^/{PRESENCE_PROVIDER}/{WISH_KEY} *: ", re.MULTILINE)

_Line = tuple[int, str]
"""Tenant and number of an extension."""


class Wish(NamedTuple):
    """One presence state of Asterisk's, ``t175-forward-101``."""

    tenant: int
    kind: str
    number: str

    @property
    def name(self) -> str:
        """Its key in Asterisk's database."""
        return wish_key(account_code(self.tenant), self.kind, self.number)


def listed(listing: str) -> list[Wish]:
    """Parse ``database show CustomPresence``; what has another name than ours is somebody else's."""
    return [Wish(int(tenant), kind, number) for tenant, kind, number in _KEPT.findall(listing)]


def left_behind(wishes: Iterable[Wish], before: Snapshot | None, now: Snapshot) -> list[Wish]:
    """Return the wishes of extensions that are not in ``now``, or that are another there than they were ``before``."""
    old, new = _lines(before) if before else {}, _lines(now)
    return [wish for wish in wishes if _is_another(old.get(key := (wish.tenant, wish.number)), new.get(key))]


def ending(wish: Wish) -> tuple[str, str]:
    """Return the commands that end a wish.

    The first tells everyone who watches, and is all that calls need; the second takes it off the list.
    """
    return (
        f"presencestate change {PRESENCE_PROVIDER}:{wish.name} {DISTURB},{wish.kind},",
        f"database del {PRESENCE_PROVIDER} {wish.name}",
    )


def _lines(snapshot: Snapshot) -> dict[_Line, frozenset[str]]:
    """Return the devices of each extension."""
    return {
        (tenant.id, extension.number): frozenset(device.endpoint for device in extension.devices)
        for tenant in snapshot.tenants
        for extension in tenant.extensions
    }


def _is_another(before: frozenset[str] | None, now: frozenset[str] | None) -> bool:
    """Tell whether an extension's number is free now, or has changed hands: none of its devices is one that it had."""
    return now is None or bool(before and now and not before & now)
