"""The messages of ``/live``, from the CTI proxy to a browser: one JSON object a WebSocket text frame.

A connection starts with a ``snapshot``; every ``change`` after it carries the next ``seq``. A client that sees a hole
in ``seq`` reconnects. Times are milliseconds since 1970, as JavaScript's ``Date`` takes them.
"""

from typing import Annotated, Literal

from pydantic import Field

from centralino.contract.fields import ExtensionNumber
from centralino.contract.model import Model

State = Literal["unregistered", "free", "busy", "ringing", "held"]
"""The thesis's five colours, in order: grey, green, red, yellow, blue."""


class ExtensionState(Model):
    """An extension's state and since when it has had it."""

    state: State
    since: int


class SnapshotMessage(Model):
    """All extensions of the client's tenant."""

    type: Literal["snapshot"] = "snapshot"
    seq: int
    extensions: dict[ExtensionNumber, ExtensionState]


class ChangeMessage(Model):
    """The extensions that changed since ``seq - 1``."""

    type: Literal["change"] = "change"
    seq: int
    extensions: dict[ExtensionNumber, ExtensionState]


class ErrorMessage(Model):
    """Why a request was refused; ``field`` names what was wrong in it."""

    type: Literal["error"] = "error"
    code: str
    message: str
    field: str | None = None


class TokenMessage(Model):
    """The one message a browser may send before it is let in: its token, where the address did not carry it."""

    type: Literal["token"] = "token"
    token: Annotated[str, Field(min_length=16, max_length=4096)]


ServerMessage = Annotated[SnapshotMessage | ChangeMessage | ErrorMessage, Field(discriminator="type")]
