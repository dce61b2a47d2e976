"""The queues of all tenants: who waits and who answers. Pure: events in, changes out."""

from collections.abc import Iterable
from typing import Final

from centralino.contract.live import Agent, Queue, State, Waiting
from centralino.cti.ami.message import Message
from centralino.cti.calls import ExtensionOf, text, whole_number
from centralino.cti.sections import Changes, Shelf
from centralino.cti.tenancy import NUMBER, own_name, tenant_of

MEMBER_EVENTS: Final = frozenset(
    ("QueueMemberAdded", "QueueMemberPause", "QueueMemberPenalty", "QueueMemberRinginuse", "QueueMemberStatus")
)
EVENTS: Final = MEMBER_EVENTS | {
    "QueueMemberRemoved",
    "QueueCallerJoin",
    "QueueCallerLeave",
    "QueueCallerAbandon",
}

_STATES: Final[dict[str, State]] = {
    # enum ast_device_state; who rings while he speaks, 7, rings, as his extension does (state_of)
    "1": "free",
    "2": "busy",
    "3": "busy",
    "6": "ringing",
    "7": "ringing",
    "8": "held",
}


class _Content:
    """One queue as it is known: members by interface, callers by channel."""

    def __init__(self) -> None:
        self.members: dict[str, Agent] = {}
        self.callers: dict[str, Waiting] = {}

    def leave(self, channel: str) -> Waiting | None:
        """Take a caller out; those behind move up."""
        gone = self.callers.pop(channel, None)
        if gone is not None:
            self.move(gone.position, -1)
        return gone

    def move(self, first: int, by: int) -> None:
        """Move the callers from a position on."""
        for channel, caller in self.callers.items():
            if caller.position >= first:
                self.callers[channel] = caller.model_copy(update={"position": caller.position + by})


class Queues:
    """All queues; names are without the tenant's prefix."""

    def __init__(self, extension_of: ExtensionOf) -> None:
        self.shelf: Shelf[Queue] = Shelf("queues")
        self._extension_of = extension_of
        self._queues: dict[str, dict[str, _Content]] = {}

    def event(self, server: str, message: Message, now: int) -> Changes:
        """Take one of :data:`EVENTS`; return the queues that changed."""
        name = message.headers.get("Queue", "")
        if tenant_of(name) is None:
            return {}
        content = self._queues.setdefault(server, {}).setdefault(name, _Content())
        self._take(content, name, message, now)
        return self._tell(server, name, content)

    def replace(self, server: str, listed: Iterable[Message], now: int) -> Changes:
        """Take what ``QueueStatus`` listed; return the queues that changed."""
        former = self._queues.get(server, {})
        queues: dict[str, _Content] = {}
        for message in listed:
            name = message.headers.get("Queue", "")
            if tenant_of(name) is None:
                continue
            content = queues.setdefault(name, _Content())
            if message.name == "QueueMember":
                self._take(content, name, message, now)
            elif message.name == "QueueEntry":
                began = now - 1000 * whole_number(message.headers.get("Wait", ""))
                known = former.get(name, _Content()).callers.get(message.headers.get("Channel", ""))
                self._take(content, name, message, known.since if known else began)
        self._queues[server] = queues
        values = [(name, self._queue(content)) for name, content in queues.items()]
        return self.shelf.replace(server, [(tenant_of(n) or 0, own_name(n), queue) for n, queue in values])

    def _take(self, content: _Content, queue: str, message: Message, now: int) -> None:
        headers = message.headers
        channel, interface = headers.get("Channel", ""), headers.get("Interface") or headers.get("Location", "")
        match message.name:
            case "QueueCallerJoin" | "QueueEntry":
                position = whole_number(headers.get("Position", ""))
                known = content.leave(channel)
                if message.name == "QueueCallerJoin":
                    # One of higher priority does not come last.
                    content.move(position, 1)
                content.callers[channel] = Waiting(
                    number=text(headers.get("CallerIDNum")),
                    name=text(headers.get("CallerIDName")),
                    position=position,
                    since=known.since if known else now,
                )
            case "QueueCallerLeave" | "QueueCallerAbandon":
                content.leave(channel)
            case "QueueMemberRemoved":
                content.members.pop(interface, None)
            case _:
                content.members[interface] = Agent(
                    name=headers.get("MemberName") or headers.get("Name", ""),
                    extension=self._member(tenant_of(queue) or 0, headers.get("StateInterface") or interface),
                    state=_STATES.get(headers.get("Status", ""), "unregistered"),
                    paused=headers.get("Paused") == "1",
                    reason=headers.get("PausedReason", ""),
                )

    def _member(self, tenant: int, interface: str) -> str | None:
        """Return the extension of ``PJSIP/t175-…``, ``Local/101@t175-internal/n`` or ``hint:101@t175-internal``."""
        place = interface.removeprefix("hint:").removeprefix("Local/").partition("/")[0]
        number, at, context = place.partition("@")
        if at:
            return number if tenant_of(context) == tenant and NUMBER.fullmatch(number) else None
        return self._extension_of(tenant, interface.partition("/")[2])

    def _queue(self, content: _Content) -> Queue:
        return Queue(
            waiting=tuple(sorted(content.callers.values(), key=lambda caller: caller.position)),
            agents=tuple(agent for _, agent in sorted(content.members.items())),
        )

    def _tell(self, server: str, name: str, content: _Content) -> Changes:
        return self.shelf.put(server, tenant_of(name) or 0, own_name(name), self._queue(content))
