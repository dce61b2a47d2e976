"""Where events come in and go out: each message once, to the boards, to its tenant's feeds, or to nobody."""

import logging
import time
import traceback
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

log = logging.getLogger(__name__)

_ASKS_FOR_PICTURE: Final = frozenset(("FullyBooted", "Reload", "AttendedTransfer"))
"""After the last, who waits in a queue or speaks in a conference may be another, of whom no event tells."""

_MOST_COMPLAINTS: Final = 1000

Tracker = Callable[[str, Message, int], Changes]


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as JavaScript counts."""
    return time.time_ns() // 1_000_000


class Exchange:
    """Receives from all PBXes and tells the feeds."""

    def __init__(
        self, boards: Boards, feeds: Feeds, answered: Callable[[str, Message], None] = lambda *_: None
    ) -> None:
        self._boards = boards
        self._feeds = feeds
        self._answered = answered
        self._pictures: dict[Connection, Picture] = {}
        self._complaints: set[str] = set()
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
        self._correct(self._boards.lose(connection.server.name, now_ms()))
        self._feeds.reach_changed()
        self._feeds.settle()

    def forget(self, server: str) -> None:
        """Drop what a PBX told that is not configured any more."""
        self._tell(self._boards.forget(server, now_ms()))
        self._feeds.reach_changed()
        self._feeds.settle()

    def received(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Take the messages of one read."""
        picture = self._pictures[connection]
        server = connection.server.name
        wants_events = self._feeds.wants_events
        now = now_ms()
        for message in messages:
            try:
                self._take(picture, server, message, now, wants_events=wants_events)
            except Exception as error:  # noqa: BLE001 - whatever it is: it would end the connection, and its return again
                self._complain(server, message.name, error)
        self._feeds.settle()

    def _take(self, picture: Picture, server: str, message: Message, now: int, *, wants_events: bool) -> None:
        if message.headers.get("ActionID", "").startswith(OUR_ACTIONS):
            picture.answer(message)
            self._answered(server, message)
            return
        if message.kind is not Kind.EVENT:
            return
        self._follow(picture, server, message, now)
        if wants_events:
            tenant = tenant_of_event(message)
            if tenant is not None:
                self._feeds.event(tenant, server, message)

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
        reached = self._boards.reaches(server)
        try:
            changes = self._boards.listed(server, action, messages, now_ms())
        except Exception as error:  # noqa: BLE001 - whatever it is: the other lists are to come, and this one again
            self._complain(server, action, error)
            return
        self._correct(changes)
        if self._boards.reaches(server) != reached:
            self._feeds.reach_changed()
        self._feeds.settle()

    def _complain(self, server: str, what: str, error: Exception) -> None:
        """Count an error of ours, and log where it was made, once; its text may hold what callers say."""
        self._feeds.counts.not_taken[server] += 1
        place = traceback.extract_tb(error.__traceback__)[-1]
        complaint = f"pbx {server}: {what[:40]!a} not taken: {type(error).__name__} in {place.filename}:{place.lineno}"
        if complaint not in self._complaints and len(self._complaints) < _MOST_COMPLAINTS:
            self._complaints.add(complaint)
            log.error("%s", complaint)

    def _tell(self, changes: Mapping[str, Changes]) -> None:
        for section, tenants in changes.items():
            for tenant, keys in tenants.items():
                self._feeds.changed(tenant, section, keys)

    def _correct(self, changes: Mapping[str, Changes]) -> None:
        """Tell what no event has told: clients of amiws' format know extensions by events alone."""
        self._tell(changes)
        for tenant, numbers in changes.get("extensions", {}).items():
            self._feeds.restated(tenant, numbers)
