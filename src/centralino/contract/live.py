"""The messages of ``/live``, from the CTI proxy to a browser: one JSON object a WebSocket text frame.

A connection starts with a ``snapshot``; every ``change`` after it carries the next ``seq``. A client that sees a hole
in ``seq`` reconnects. Times are milliseconds since 1970, as JavaScript's ``Date`` takes them.
"""

from operator import not_
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from centralino.contract.fields import ExtensionNumber
from centralino.contract.model import Model

State = Literal["unregistered", "free", "busy", "ringing", "held"]
"""The thesis's five colours, in order: grey, green, red, yellow, blue."""

Section = Literal["extensions", "calls", "queues", "parked", "conferences"]
"""What a snapshot and a change are made of."""


class ExtensionState(Model):
    """An extension's state, since when it has had it, and what calls to it meet."""

    state: State
    since: int
    dnd: Annotated[bool, Field(exclude_if=not_)] = False
    """Whether its callers hear that it is busy."""
    forward: Annotated[ExtensionNumber | None, Field(exclude_if=not_)] = None
    """Where its calls go instead."""


class Party(Model):
    """Somebody in a call or who waits; ``extension`` where it is one of the tenant's own."""

    extension: ExtensionNumber | None = None
    number: str = ""
    name: str = ""


class CallParty(Party):
    """One side of a call; ``channel`` is what actions name, and None for a side that is not the tenant's."""

    channel: str | None = None
    state: Literal["dialling", "ringing", "up", "held"] | None = None


class Call(Model):
    """A call: one side or more of the tenant's, and who is on the other one."""

    state: Literal["ringing", "up", "held"]
    since: int
    parties: tuple[CallParty, ...]


class Waiting(Party):
    """A caller in a queue; ``position`` counts from 1."""

    position: int
    since: int


class Agent(Model):
    """A member of a queue."""

    name: str
    extension: ExtensionNumber | None = None
    state: State
    paused: bool = False
    reason: str = ""


class Queue(Model):
    """A queue: who waits, in order, and who answers."""

    waiting: tuple[Waiting, ...] = ()
    agents: tuple[Agent, ...] = ()


class Parked(Party):
    """A call that waits on a parking space."""

    since: int


class Participant(Party):
    """Somebody in a conference."""

    muted: bool = False
    since: int


class Conference(Model):
    """A conference that is held now."""

    participants: tuple[Participant, ...] = ()


class SnapshotMessage(Model):
    """Everything about the client's tenant; it replaces all that the client knows."""

    type: Literal["snapshot"] = "snapshot"
    seq: int
    connected: bool = True
    """Whether the tenant's PBX is within reach; while it is not, extensions are ``unregistered``, the rest empty."""
    extensions: dict[ExtensionNumber, ExtensionState]
    calls: dict[str, Call] = Field(default_factory=dict)
    queues: dict[str, Queue] = Field(default_factory=dict)
    parked: dict[str, Parked] = Field(default_factory=dict)
    conferences: dict[str, Conference] = Field(default_factory=dict)


class ChangeMessage(Model):
    """What changed since ``seq - 1``; None for what is no more. A section without a change is left out."""

    type: Literal["change"] = "change"
    seq: int
    connected: bool | None = None
    """There where the PBX has been lost or found again."""
    extensions: dict[ExtensionNumber, ExtensionState]
    calls: dict[str, Call | None] = Field(default_factory=dict)
    queues: dict[str, Queue | None] = Field(default_factory=dict)
    parked: dict[str, Parked | None] = Field(default_factory=dict)
    conferences: dict[str, Conference | None] = Field(default_factory=dict)


class HeartbeatMessage(Model):
    """Nothing was new for a while; ``seq`` is that of the last change."""

    type: Literal["heartbeat"] = "heartbeat"
    seq: int


class ErrorMessage(Model):
    """Why a request was refused; ``field`` names what was wrong in it, ``id`` the action."""

    type: Literal["error"] = "error"
    code: str
    message: str
    field: str | None = None
    id: str | None = None


class ResultMessage(Model):
    """An action was carried out; ``id`` is the action's."""

    type: Literal["result"] = "result"
    id: str | None


class ActionMessage(Model):
    """What a browser asks for; which fields an action needs tells ``docs/live-protocol.md``."""

    type: Literal["action"] = "action"
    id: Annotated[str, Field(max_length=64)] | None = None
    action: Annotated[str, Field(max_length=40)]
    number: Annotated[str, Field(max_length=32)] | None = None
    channel: Annotated[str, Field(max_length=80)] | None = None
    attended: bool | None = None
    queue: Annotated[str, Field(max_length=80)] | None = None
    extension: ExtensionNumber | None = None
    paused: bool | None = None
    reason: Annotated[str, Field(max_length=80)] | None = None
    on: bool | None = None


class TokenMessage(Model):
    """The one message a browser may send before it is let in: its token, where the address did not carry it."""

    type: Literal["token"] = "token"
    token: Annotated[str, Field(min_length=16, max_length=4096)]


ServerMessage = Annotated[
    SnapshotMessage | ChangeMessage | HeartbeatMessage | ResultMessage | ErrorMessage, Field(discriminator="type")
]


ClientMessage = Annotated[TokenMessage | ActionMessage, Field(discriminator="type")]


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what the proxy sends, and under ``$defs`` of what it takes."""
    sent = TypeAdapter[Any](ServerMessage).json_schema(mode="serialization")
    taken = TypeAdapter[Any](ClientMessage).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A message of the CTI proxy's /live",
        **sent,
        "$defs": {**sent["$defs"], **taken["$defs"]},
    }
