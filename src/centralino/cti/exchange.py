"""Where events come in and go out: each message once, to the state, to its tenant's feeds, or to nobody."""

import time
from typing import Final

from centralino.cti.ami.connection import OUR_ACTIONS, Connection
from centralino.cti.ami.message import Kind, Message
from centralino.cti.pictures import Picture
from centralino.cti.state import Extensions, Hint
from centralino.cti.tenancy import hint_of, tenant_of_event
from centralino.cti.web.feeds import Feeds

_ASKS_FOR_PICTURE: Final = frozenset(("FullyBooted", "Reload"))


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as JavaScript counts."""
    return time.time_ns() // 1_000_000


class Exchange:
    """Receives from all PBXes and tells the feeds."""

    def __init__(self, extensions: Extensions, feeds: Feeds) -> None:
        self._extensions = extensions
        self._feeds = feeds
        self._pictures: dict[Connection, Picture] = {}

    def connected(self, connection: Connection) -> None:
        """Take the PBX's full picture."""
        name = connection.server.name
        picture = self._pictures[connection] = Picture(connection, lambda hints: self._picture(name, hints))
        picture.start()

    def disconnected(self, connection: Connection) -> None:
        """Grey what the PBX told."""
        picture = self._pictures.pop(connection, None)
        if picture is not None:
            picture.stop()
        self._changed(self._extensions.lose(connection.server.name, now_ms()))
        self._feeds.settle()

    def forget(self, server: str) -> None:
        """Drop the extensions of a PBX that is not configured any more."""
        self._picture(server, [])

    def received(self, connection: Connection, messages: list[Message]) -> None:
        """Take the messages of one read."""
        picture = self._pictures[connection]
        server = connection.server.name
        wants_events = self._feeds.wants_events
        for message in messages:
            if message.headers.get("ActionID", "").startswith(OUR_ACTIONS):
                picture.answer(message)
                continue
            if message.kind is not Kind.EVENT:
                continue
            if message.name == "ExtensionStatus":
                self._hint(picture, server, message)
            elif message.name in _ASKS_FOR_PICTURE:
                picture.want()
            if wants_events:
                tenant = tenant_of_event(message)
                if tenant is not None:
                    self._feeds.event(tenant, server, message)
        self._feeds.settle()

    def _hint(self, picture: Picture, server: str, message: Message) -> None:
        hint = hint_of(message)
        if hint is None:
            return
        picture.event(hint)
        if self._extensions.apply(server, hint, now_ms()):
            self._feeds.changed(hint.tenant, {hint.number})
        else:
            picture.want()

    def _picture(self, server: str, hints: list[Hint]) -> None:
        self._changed(self._extensions.replace(server, hints, now_ms()))
        self._feeds.settle()

    def _changed(self, changed: dict[int, set[str]]) -> None:
        for tenant, numbers in changed.items():
            self._feeds.changed(tenant, numbers)
