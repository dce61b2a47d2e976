"""One browser: let in by its token, read as far as it may speak, written to as fast as it reads."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, override

import orjson
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from pydantic import ValidationError

from centralino.contract.bans import within
from centralino.contract.live import ErrorMessage, TokenMessage
from centralino.contract.tokens import Claims
from centralino.cti.actions.desk import Desk
from centralino.cti.bans import Accuse
from centralino.cti.tokens import TokenError
from centralino.cti.web import frames
from centralino.cti.web.feeds import Feed, Feeds, Format
from centralino.cti.web.limits import Bucket, Counts

log = logging.getLogger(__name__)

TOKEN_TIMEOUT: Final = 5.0
"""Seconds to wait for a token that the address did not carry."""
SLOW_TIMEOUT: Final = 30.0
"""Seconds after which a client that reads nothing is let go."""
CLOSE_TIMEOUT: Final = 2.0

CLOSE_TOKEN: Final = 4401
"""Close code: no token, or none that lets in (4000 to 4999 are the application's, RFC 6455 §7.4.2)."""
CLOSE_LIMIT: Final = 4429
"""Close code: too many connections or messages."""


def _check_address(claims: Claims, address: str) -> None:
    """Refuse who comes from elsewhere than the tenant's people: a token that was stolen."""
    if claims.networks and not within(address, claims.networks):
        raise TokenError(
            "address_not_allowed",
            "this tenant does not connect from your address: ask your administrator",
            attack=f"a token of {claims.sub[:80]}, from outside its tenant's networks",
        )


class House(Protocol):
    """What a client needs of the server that it belongs to."""

    feeds: Feeds
    desk: Desk
    users: Counts
    addresses: Counts

    @property
    def per_user(self) -> int: ...  # noqa: D102
    @property
    def per_address(self) -> int: ...  # noqa: D102
    @property
    def message_bytes(self) -> int: ...  # noqa: D102
    @property
    def queue_bytes(self) -> int: ...  # noqa: D102
    @property
    def claims(self) -> Callable[[str], Awaitable[Claims]]: ...  # noqa: D102
    @property
    def accuse(self) -> Accuse: ...  # noqa: D102
    def arrived(self, client: "Client") -> None: ...  # noqa: D102
    def left(self, client: "Client") -> None: ...  # noqa: D102


class Client(WSListener):
    """A connection from its handshake to its end."""

    __slots__ = (
        "_admission", "_alive", "_bucket", "_claims", "_closing", "_counted_address", "_feed", "_form", "_fragmented",
        "_fragments", "_house", "_send", "_since", "_slow", "_timer", "_token", "_transport", "_user", "address",
    )  # fmt: skip

    def __init__(self, house: House, form: Format, token: str | None, since: int | None = None) -> None:
        super().__init__()
        self.address = ""
        self._house = house
        self._form = form
        self._token = token
        self._since = since
        self._transport: WSTransport | None = None
        self._send: Callable[[bytes], None] | None = None
        """Writes to the line; None before the connection is there and as soon as it is being closed."""
        self._feed: Feed | None = None
        self._user = ""
        self._claims: Claims | None = None
        self._counted_address = False
        self._admission: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._bucket = Bucket(time.monotonic())
        self._fragments = bytearray()
        self._fragmented = False
        self._closing = False
        self._slow = False
        self._alive = True

    # --- from its feed ---

    def write(self, data: bytes) -> None:
        """Send whole frames that were built for all clients of the feed."""
        if self._send is not None:
            self._send(data)

    def reply(self, frame: bytes) -> None:
        """Send to this client alone; what is meant for one who has fallen behind so far is lost."""
        if not self._slow:
            self.write(frame)

    def ping(self) -> None:
        """Ask whether it is still there; cut the line where the last question was not answered."""
        if self._slow:
            # It is not read from, and has a time limit of its own.
            return
        if not self._alive and self._transport is not None:
            self._house.feeds.counts.let_go += 1
            log.info("client gone: it answers no ping: user=%s address=%s", self._user, self.address)
            self._transport.disconnect(graceful=False)
        else:
            self._alive = False
            self.write(frames.PING)

    def close(self, code: int, reason: str) -> None:
        """Say good-bye, and cut the line where it is not answered."""
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing, self._send = True, None
        self._leave_feed()
        transport.send_close(code, reason.encode()[:120])  # type: ignore[arg-type] # codes from 4000 are in no enum
        self._set_timer(CLOSE_TIMEOUT, lambda: transport.disconnect(graceful=False))

    # --- from picows ---

    @override
    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._send = transport.underlying_transport.write
        peer = transport.underlying_transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        transport.underlying_transport.set_write_buffer_limits(high=self._house.queue_bytes)
        self._house.arrived(self)
        self._counted_address = self._house.addresses.enter(self.address, self._house.per_address)
        if not self._counted_address:
            self._refuse(CLOSE_LIMIT, "too_many_connections", "too many connections from this address: close others")
        elif self._token is None:
            self._set_timer(TOKEN_TIMEOUT, self._token_missing)
        else:
            self._admit(self._token)

    @override
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._alive = True
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif self._closing or kind == WSMsgType.PONG:
            return
        elif not self._bucket.take(time.monotonic()):
            self._refuse(CLOSE_LIMIT, "too_many_messages", "too many messages: send fewer")
        elif kind == WSMsgType.PING:
            # Its own payload (RFC 6455 §5.5.3).
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.BINARY:
            self._error("binary", "binary messages are not taken: send JSON as text")
        else:
            self._text(frame, begins=kind == WSMsgType.TEXT)

    @override
    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._closing, self._send = True, None
        self._leave_feed()
        self._set_timer(None, None)
        if self._admission is not None:
            self._admission.cancel()
        if self._counted_address:
            self._house.addresses.leave(self.address)
        if self._user:
            self._house.users.leave(self._user)
            log.info("client left: user=%s address=%s", self._user, self.address)
        self._house.left(self)

    @override
    def pause_writing(self) -> None:
        """Read no more, and lose the place in the feed: the queue is as long as it may be."""
        # First of all, for whoever sends without reading makes answers that nobody takes.
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()
        self._slow = True
        if self._feed is not None:
            self._house.feeds.counts.slow += 1
            self._feed.readers.discard(self)
            self._set_timer(SLOW_TIMEOUT, self._too_slow)

    @override
    def resume_writing(self) -> None:
        """Read again, and take the place again, with a snapshot for what was missed."""
        self._slow = False
        # What it has answered meanwhile may not have been read yet.
        self._alive = True
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()
        if self._feed is not None and not self._closing:
            self._set_timer(None, None)
            self._feed.readers.add(self)
            self.write(self._feed.snapshot())

    # --- its own ---

    def _admit(self, token: str) -> None:
        self._token = None
        self._set_timer(None, None)
        self._admission = asyncio.create_task(self._check(token))

    async def _check(self, token: str) -> None:
        try:
            await self._let_in(token)
        finally:
            self._admission = None

    async def _let_in(self, token: str) -> None:
        try:
            claims = await self._house.claims(token)
            _check_address(claims, self.address)
        except TokenError as error:
            if error.attack:
                self._house.accuse(self.address, error.attack)
            log.warning("client refused: reason=%s address=%s", error.code, self.address)
            self._refuse(CLOSE_TOKEN, error.code, str(error))
            return
        if self._closing:
            return
        user = f"{claims.tenant}/{claims.sub}"
        if not self._house.users.enter(user, self._house.per_user):
            self._refuse(CLOSE_LIMIT, "too_many_connections", "too many connections of this user: close other windows")
            return
        self._user = user
        self._claims = claims
        log.info("client joined: user=%s role=%s format=%s address=%s", user, claims.role, self._form, self.address)
        self._feed = self._house.feeds.join(claims.tenant, self._form, self, self._since)
        if self._slow:
            self.pause_writing()

    def _text(self, frame: WSFrame, *, begins: bool) -> None:
        if begins == self._fragmented:
            self.close(int(WSCloseCode.PROTOCOL_ERROR.value), "fragments out of order")
            return
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > self._house.message_bytes:
            self.close(int(WSCloseCode.MESSAGE_TOO_BIG.value), "message too long")
            return
        self._fragmented = not frame.fin
        if frame.fin:
            message, self._fragments = bytes(self._fragments), bytearray()
            self._message(message)

    def _message(self, message: bytes) -> None:
        try:
            document = orjson.loads(message)
        except orjson.JSONDecodeError:
            self._error("bad_json", "this is no JSON: send one object a message")
            return
        if not isinstance(document, dict):
            self._error("bad_message", "send a JSON object")
            return
        if self._user or self._admission is not None:
            if self._claims is None:
                self._error("token_missing", "the token is still being looked at: wait for the snapshot")
            elif self._form == "live":
                self._house.desk.live(self, self._claims, document)
            else:
                self._house.desk.amiws(self, self._claims, document)
            return
        try:
            self._admit(TokenMessage.model_validate(document).token)
        except ValidationError as error:
            location = error.errors(include_input=False)[0]["loc"]
            self._error("token_missing", "send the token first", str(location[0]) if location else None)

    def _error(self, code: str, text: str, field: str | None = None) -> None:
        message = ErrorMessage(code=code, message=text, field=None if field is None else field[:80])
        self.write(frames.text(message.model_dump_json().encode()))

    def _refuse(self, close_code: int, code: str, text: str) -> None:
        self._house.feeds.counts.refused[code] += 1
        self._error(code, text)
        self.close(close_code, code)

    def _token_missing(self) -> None:
        self._refuse(CLOSE_TOKEN, "token_missing", f"no token within {TOKEN_TIMEOUT:.0f} seconds")

    def _too_slow(self) -> None:
        self._house.feeds.counts.let_go += 1
        log.warning("client let go: it reads too slowly: user=%s address=%s", self._user, self.address)
        self._closing, self._send = True, None
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _leave_feed(self) -> None:
        if self._feed is not None:
            self._house.feeds.leave(self._feed, self)
            self._feed = None

    def _set_timer(self, seconds: float | None, action: Callable[[], None] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and action is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, action)
