"""The full picture of one PBX: asked for when it connects and whenever events cannot have told everything.

What Asterisk 22 sends (tried on 22.10): a dialplan reload brings an ``ExtensionStatus`` for every hint that is there
after it, new ones included, nothing for a hint that is gone, and a ``Reload`` event only where a module reload caused
it. So an ``ExtensionStatus`` that changes nothing is taken for the sign of a reload; a reload that leaves no hint at
all is found by asking every :data:`PERIOD` seconds. The same heals whatever else no event has told.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from centralino.cti.ami.connection import Connection
from centralino.cti.ami.message import Kind, Message
from centralino.cti.tenancy import tenant_of

PERIOD: Final = 30.0
DEBOUNCE: Final = 0.2
"""Seconds from the first sign of a reload to the question."""
SPACING: Final = 2.0
"""Seconds between two questions at least."""
ANSWER_TIMEOUT: Final = 10.0

LISTS: Final = (
    "ExtensionStateList",
    "BridgeList",  # before the channels, which name their bridges and not of which type they are
    "CoreShowChannels",
    "QueueStatus",
    "ParkedCalls",
    "ConfbridgeListRooms",
    "PresenceStateList",
)
"""The actions that together tell everything; each ends by an event with ``EventList: Complete``."""
_LIST_OF: Final = {
    "ExtensionStatus": "ExtensionStateList",
    "PresenceStateChange": "PresenceStateList",
    "BridgeEnter": "CoreShowChannels",
    "BridgeLeave": "CoreShowChannels",
}
"""Events that, while a list is under way, are put at its end: of what is told twice, the last counts."""
CORRECTIONS: Final = frozenset((*_LIST_OF, "Hangup"))
"""The events that :meth:`Picture.event` is to be told."""
_ROOMS: Final = "ConfbridgeListRooms"
_ROOM: Final = "ConfbridgeList"

Taken = Callable[[str, list[Message]], None]
"""Takes one list: the action's name and the events that answered it. Conferences come as ``ConfbridgeList``."""


class _List:
    """One list under way."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.messages: list[Message] = []


class Picture:
    """Asks one PBX for everything and hands each list over when it is whole."""

    def __init__(self, connection: Connection, taken: Taken) -> None:
        self._connection = connection
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked = -SPACING
        self._wanted = False
        """Whether there is a wish that came after the lists under way were asked for."""
        self._open: dict[str, _List] = {}
        self._participants: list[Message] = []

    def start(self) -> None:
        """Ask now: the PBX has just been connected."""
        self._ask()

    def stop(self) -> None:
        """Forget the question: the PBX is gone."""
        self._open.clear()
        self._wanted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def want(self) -> None:
        """Ask soon; many wishes make one question, and what is under way is heard out first."""
        if self._open:
            self._wanted = True
        else:
            self._schedule(max(DEBOUNCE, self._asked + SPACING - self._loop.time()))

    def event(self, message: Message) -> None:
        """Let a live event correct what a list under way has said already."""
        for under_way in self._open.values():
            if message.name == "Hangup" and under_way.action == "CoreShowChannels":
                gone = message.headers.get("Uniqueid")
                under_way.messages = [m for m in under_way.messages if m.headers.get("Uniqueid") != gone]
            elif under_way.action == _LIST_OF.get(message.name):
                under_way.messages.append(message)

    def answer(self, message: Message) -> None:
        """Take a message that answers an action of ours."""
        action_id = message.headers.get("ActionID", "")
        under_way = self._open.get(action_id)
        if under_way is None:
            return
        if message.kind is not Kind.EVENT:
            # An error says that there is none, or that the module is not loaded; both are an empty list.
            if message.name != "Success":
                self._close(action_id, under_way)
        elif message.headers.get("EventList") == "Complete" or message.name == f"{under_way.action}Complete":
            self._close(action_id, under_way)
        else:
            under_way.messages.append(message)

    def _close(self, action_id: str, under_way: _List) -> None:
        del self._open[action_id]
        if under_way.action == _ROOMS:
            self._participants = []
            for room in under_way.messages:
                name = room.headers.get("Conference", "")
                if tenant_of(name) is not None:
                    self._send(_ROOM, {"Conference": name})
        elif under_way.action == _ROOM:
            self._participants += under_way.messages
        else:
            self._taken(under_way.action, under_way.messages)
        if under_way.action in {_ROOMS, _ROOM} and all(u.action not in {_ROOMS, _ROOM} for u in self._open.values()):
            self._taken(_ROOM, self._participants)
        if not self._open:
            self._schedule(PERIOD)
            if self._wanted:
                self.want()

    def _send(self, action: str, fields: dict[str, str] | None = None) -> None:
        self._open[self._connection.send(action, fields or {})] = _List(action)

    def _ask(self) -> None:
        self._timer = None
        self._open.clear()
        self._wanted = False
        self._asked = self._loop.time()
        for action in LISTS:
            self._send(action)
        self._schedule(ANSWER_TIMEOUT)

    def _schedule(self, delay: float) -> None:
        when = self._loop.time() + delay
        if self._timer is not None:
            if self._timer.when() <= when and delay < ANSWER_TIMEOUT:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._ask)
