"""What people want for calls to their extensions: do-not-disturb and forwards. Pure: events in, changes out.

Each is a custom presence state of Asterisk (``CustomPresence:t175-forward-101``), which the dialplan reads and the AMI
lists, tells of at once and keeps over a restart. A wish counts only while its PBX has the extension: a tenant that has
moved leaves its old wishes behind.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from centralino.contract.names import FORWARDED, PRESENCE_PROVIDER, WISH_KEY
from centralino.cti.ami.message import Message
from centralino.cti.sections import Changes, merge
from centralino.cti.tenancy import NUMBER

EVENTS: Final = frozenset(("PresenceStateChange",))

ServerOf = Callable[[int, str], str | None]
"""Tenant and number → the PBX that has the extension."""

_PRESENTITY = re.compile(rf"{PRESENCE_PROVIDER}:{WISH_KEY}")

_Key = tuple[int, str]
"""Tenant and number of an extension."""


class Wish(NamedTuple):
    """What the calls to one extension meet."""

    dnd: bool = False
    forward: str | None = None
    """The number to which they go."""


NOTHING: Final = Wish()


class Forwards:
    """The wishes of all tenants, by PBX."""

    def __init__(self, server_of: ServerOf) -> None:
        self._server_of = server_of
        self._wishes: dict[str, dict[_Key, Wish]] = {}

    def of(self, tenant: int, number: str) -> Wish:
        """Return what an extension's calls meet."""
        server = self._server_of(tenant, number)
        return NOTHING if server is None else self._wishes.get(server, {}).get((tenant, number), NOTHING)

    def event(self, server: str, message: Message, _now: int) -> Changes:
        """Take one of :data:`EVENTS`; return the extensions that changed."""
        wishes = self._wishes.setdefault(server, {})
        key = _take(wishes, message)
        return {} if key is None else self._known(server, [key])

    def replace(self, server: str, listed: Iterable[Message]) -> Changes:
        """Take what ``PresenceStateList`` listed; return the extensions that changed."""
        former = self._wishes.get(server, {})
        wishes = self._wishes[server] = dict[_Key, Wish]()
        for message in listed:
            _take(wishes, message)
        return self._known(server, [key for key in former.keys() | wishes.keys() if former.get(key) != wishes.get(key)])

    def _known(self, server: str, keys: Iterable[_Key]) -> Changes:
        """Return those of the extensions that this PBX has."""
        changes: Changes = {}
        for tenant, number in keys:
            if self._server_of(tenant, number) == server:
                merge(changes, {tenant: {number}})
        return changes


def _take(wishes: dict[_Key, Wish], message: Message) -> _Key | None:
    """Note one event's wish; return whose it is where that was news."""
    headers = message.headers
    found = _PRESENTITY.fullmatch(headers.get("Presentity", ""))
    if found is None:
        return None
    key, status = (int(found[1]), found[3]), headers.get("Status")
    before = wishes.get(key, NOTHING)
    if found[2] == "dnd":
        after = before._replace(dnd=status == "dnd")
    else:
        number = headers.get("Message", "")
        follows = status == FORWARDED and NUMBER.fullmatch(number) is not None
        after = before._replace(forward=number if follows else None)
    if after == NOTHING:
        wishes.pop(key, None)
    else:
        wishes[key] = after
    return None if after == before else key
