"""Where events come in and go out: each message once, to the boards, to its tenant's feeds, or to nobody."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from centralino.cti import calls, forwards, queues, rooms
from centralino.cti.ami.connection import OUR_ACTIONS, Connection
from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.pictures import CORRECTIONS, Picture
from centralino.cti.sections import Changes
from centralino.cti.tenancy import hint_of, tenant_of_event
from centralino.cti.web.feeds import Feeds

_ASKS_FOR_PICTURE: Final = frozenset(("FullyBooted", "Reload"))

Tracker = Callable[[str, Message, int], Changes]


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as JavaScript counts."""
    return time.time_ns() // 1_000_000


class Exchange:
    """Receives from all PBXes and tells the feeds."""

    def __init__(self, boards: Boards, feeds: Feeds, answered: Callable[[Message], None] = lambda _: None) -> None:
        self._boards = boards
        self._feeds = feeds
        self._answered = answered
        self._pictures: dict[Connection, Picture] = {}
        self._trackers: Mapping[str, tuple[str, Tracker]] = {
            **dict.fromkeys(calls.EVENTS, ("calls", boards.calls.event)),
            **dict.fromkeys(queues.EVENTS, ("queues", boards.queues.event)),
            **dict.fromkeys(rooms.PARKING_EVENTS, ("parked", boards.rooms.parking)),
            **dict.fromkeys(forwards.EVENTS, ("extensions", boards.forwards.event)),
            **dict.fromkeys(rooms.CONFERENCE_EVENTS, ("conferences", boards.rooms.conference)),
        }

    def connected(self, connection: Connection) -> None:
        """Take the PBX's full picture."""
        picture = self._pictures[connection] = Picture(connection, partial(self._listed, connection.server.name))
        picture.start()

    def disconnected(self, connection: Connection) -> None:
        """Grey what the PBX told."""
        picture = self._pictures.pop(connection, None)
        if picture is not None:
            picture.stop()
        self._tell(self._boards.lose(connection.server.name, now_ms()))
        self._feeds.settle()

    def forget(self, server: str) -> None:
        """Drop what a PBX told that is not configured any more."""
        self._tell(self._boards.forget(server, now_ms()))
        self._feeds.settle()

    def received(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Take the messages of one read."""
        picture = self._pictures[connection]
        server = connection.server.name
        wants_events = self._feeds.wants_events
        now = now_ms()
        for message in messages:
            if message.headers.get("ActionID", "").startswith(OUR_ACTIONS):
                picture.answer(message)
                self._answered(message)
                continue
            if message.kind is not Kind.EVENT:
                continue
            self._follow(picture, server, message, now)
            if wants_events:
                tenant = tenant_of_event(message)
                if tenant is not None:
                    self._feeds.event(tenant, server, message)
        self._feeds.settle()

    def _follow(self, picture: Picture, server: str, message: Message, now: int) -> None:
        name = message.name
        tracker = self._trackers.get(name)
        if tracker is not None:
            section, track = tracker
            if name in CORRECTIONS:
                picture.event(message)
            changes = track(server, message, now)
            if changes:
                self._tell({section: changes})
        elif name == "ExtensionStatus":
            self._hint(picture, server, message, now)
        elif name in _ASKS_FOR_PICTURE:
            picture.want()

    def _hint(self, picture: Picture, server: str, message: Message, now: int) -> None:
        hint = hint_of(message)
        if hint is None:
            return
        picture.event(message)
        if self._boards.extensions.apply(server, hint, now):
            self._feeds.changed(hint.tenant, "extensions", {hint.number})
        else:
            picture.want()

    def _listed(self, server: str, action: str, messages: list[Message]) -> None:
        self._tell(self._boards.listed(server, action, messages, now_ms()))
        self._feeds.settle()

    def _tell(self, changes: Mapping[str, Changes]) -> None:
        for section, tenants in changes.items():
            for tenant, keys in tenants.items():
                self._feeds.changed(tenant, section, keys)
