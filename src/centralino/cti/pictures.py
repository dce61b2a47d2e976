"""The full picture of one PBX: asked for when it connects and whenever events cannot have told everything.

What Asterisk 22 sends (tried on 22.10): a dialplan reload brings an ``ExtensionStatus`` for every hint that is there
after it, new ones included, nothing for a hint that is gone, and a ``Reload`` event only where a module reload caused
it. So an ``ExtensionStatus`` that changes nothing is taken for the sign of a reload; a reload that leaves no hint at
all is found by asking every :data:`PERIOD` seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from centralino.cti.ami.connection import Connection
from centralino.cti.ami.message import Kind, Message
from centralino.cti.state import Hint
from centralino.cti.tenancy import hint_of

PERIOD: Final = 30.0
DEBOUNCE: Final = 0.2
"""Seconds from the first sign of a reload to the question."""
SPACING: Final = 2.0
"""Seconds between two questions at least."""
ANSWER_TIMEOUT: Final = 10.0

_LIST_ACTION: Final = "ExtensionStateList"
_LIST_END: Final = "ExtensionStateListComplete"


class Picture:
    """Asks one PBX for all its hints and hands the whole answer over at once."""

    def __init__(self, connection: Connection, taken: Callable[[list[Hint]], None]) -> None:
        self._connection = connection
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._action_id = ""
        self._asked = -SPACING
        self._hints: dict[tuple[int, str], Hint] = {}

    def start(self) -> None:
        """Ask now: the PBX has just been connected."""
        self._ask()

    def stop(self) -> None:
        """Forget the question: the PBX is gone."""
        self._action_id = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def want(self) -> None:
        """Ask soon; many wishes make one question."""
        self._schedule(max(DEBOUNCE, self._asked + SPACING - self._loop.time()))

    def event(self, hint: Hint) -> None:
        """Let a live event correct what the answer under way has said already."""
        if self._action_id:
            self._hints[hint.tenant, hint.number] = hint

    def answer(self, message: Message) -> None:
        """Take a message that answers an action of ours."""
        if message.headers.get("ActionID") != self._action_id:
            return
        if message.kind is Kind.EVENT and message.name == _LIST_END:
            self._action_id = ""
            hints = list(self._hints.values())
            self._hints = {}
            self._taken(hints)
            self._schedule(PERIOD)
        elif message.kind is Kind.EVENT:
            hint = hint_of(message)
            if hint is not None:
                self._hints[hint.tenant, hint.number] = hint
        elif message.name != "Success":
            # Asterisk says so when there is no hint at all: an empty picture is one, too.
            self._action_id = ""
            self._hints = {}
            self._taken([])
            self._schedule(PERIOD)

    def _ask(self) -> None:
        self._timer = None
        self._hints = {}
        self._asked = self._loop.time()
        self._action_id = self._connection.send(_LIST_ACTION)
        self._schedule(ANSWER_TIMEOUT)

    def _schedule(self, delay: float) -> None:
        when = self._loop.time() + delay
        if self._timer is not None:
            if self._timer.when() <= when and delay < ANSWER_TIMEOUT:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._ask)
