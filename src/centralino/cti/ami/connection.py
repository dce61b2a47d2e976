"""One PBX: a TLS connection that logs in, is watched, and comes back by itself.

Each connection has a task of its own, so one PBX that is down never delays another's events.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Final, Protocol, override

import aiofastnet

from centralino.cti.ami import actions
from centralino.cti.ami.message import Kind, Message, parse
from centralino.cti.ami.splitter import Splitter
from centralino.cti.config import Server

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 2.0
LOGIN_TIMEOUT = 5.0
PING_INTERVAL = 5.0
"""Seconds between keep-alives; a PBX that sends nothing for twice as long is given up."""
FIRST_DELAY = 0.2
LONGEST_DELAY = 2.0
"""Seconds between attempts. Short: a PBX that returns must be shown truthfully within 5 seconds."""
STEADY = 5.0
"""Seconds that a connection must last for the delay to begin anew; one that ends sooner may do so each time."""
REFUSED_DELAY = 15.0
"""After a refused log-in: repeating it quickly looks like an attack to the PBX's ban rules."""

TLS_BUFFER: Final = 2 * (16 * 1024 + 64)
"""Bytes for each direction of each connection: two of TLS' records. aiofastnet's own 16, and what becomes of so much
that is read at once, stay taken after a burst."""

OUR_ACTIONS = "centralino-"
"""Every ``ActionID`` of ours begins so; what carries one is an answer to us and for no client."""
_SERIALS: Final = count(1)
"""Of all connections together: one that is made anew must not give a number again that somebody waits for."""


class Receiver(Protocol):
    """What a connection tells: that it is logged in, the messages of one read, and that it is lost."""

    def connected(self, connection: "Connection") -> None: ...  # noqa: D102
    def received(self, connection: "Connection", messages: Iterable[Message]) -> None: ...  # noqa: D102
    def disconnected(self, connection: "Connection") -> None: ...  # noqa: D102


class ConnectionFailedError(Exception):
    """Why a connection failed, in a sentence; ``retry_after`` seconds where the usual delay would be too short."""

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class _Stream(asyncio.Protocol):
    """Bytes to frames, and the loss of the connection to a future."""

    def __init__(self, deliver: Callable[[list[bytes]], None]) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.last_data = loop.time()
        self.splitter = Splitter()
        self._loop = loop
        self._deliver = deliver

    @override
    def data_received(self, data: bytes) -> None:
        self.last_data = self._loop.time()
        frames = self.splitter.feed(data)
        if frames:
            self._deliver(frames)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


class Connection:
    """The connection to one PBX; :meth:`run` keeps it up until it is cancelled."""

    def __init__(self, server: Server, tls: ssl.SSLContext, receiver: Receiver) -> None:
        self.server = server
        self.up = False
        self.messages = 0
        self.connects = 0
        self._dropped_frames = 0
        self._stream: _Stream | None = None
        self._tls = tls
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None
        self._login: asyncio.Future[Message] | None = None
        self._login_id = ""
        self._delay = FIRST_DELAY
        self._complaint = ""

    @property
    def dropped_frames(self) -> int:
        """Frames that were too long, of all connections."""
        return self._dropped_frames + (self._stream.splitter.dropped if self._stream else 0)

    async def run(self) -> None:
        """Connect, stay connected, and connect again after each loss."""
        while True:
            wait = 0.0
            try:
                await self._session()
            except ConnectionFailedError as fault:
                wait = fault.retry_after
                # The same complaint once, not every two seconds for as long as a PBX is away.
                if str(fault) != self._complaint:
                    self._complaint = str(fault)
                    log.warning("%s", self._complaint)
            # Jitter keeps several proxies from returning to a restarted PBX in step.
            await asyncio.sleep(max(wait, self._delay * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
            self._delay = min(LONGEST_DELAY, self._delay * 2)

    def send(self, action: str, fields: Mapping[str, str] = {}) -> str:
        """Send an action and return its ActionID; its answers come through :meth:`Receiver.received`."""
        action_id = f"{OUR_ACTIONS}{next(_SERIALS)}"
        if self._transport is not None:
            self._transport.write(actions.encode(action, {"ActionID": action_id, **fields}))
        return action_id

    async def _session(self) -> None:
        """Hold one connection from its start to its loss; always ends by :class:`ConnectionFailedError`."""
        loop = asyncio.get_running_loop()
        self._login = loop.create_future()
        transport, stream = await self._connect()
        since = loop.time()
        self._transport, self._stream = transport, stream
        try:
            await self._log_in(stream)
            self.up = True
            self.connects += 1
            log.info("pbx %s: connected", self.server.name)
            self._receiver.connected(self)
            await self._watch(stream)
        finally:
            self._transport = self._stream = None
            self._dropped_frames += stream.splitter.dropped
            transport.abort()
            if self.up:
                self.up = False
                if loop.time() - since >= STEADY:
                    self._delay, self._complaint = FIRST_DELAY, ""
                self._receiver.disconnected(self)

    async def _connect(self) -> tuple[asyncio.Transport, _Stream]:
        server = self.server
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await aiofastnet.create_connection(
                    asyncio.get_running_loop(),
                    lambda: _Stream(self._received),
                    server.host,
                    server.port,
                    ssl=self._tls,
                    server_hostname=server.tls_name,
                    ssl_incoming_bio_size=TLS_BUFFER,
                    ssl_outgoing_bio_size=TLS_BUFFER,
                )
        except ssl.SSLCertVerificationError as error:
            raise ConnectionFailedError(
                f"pbx {server.name}: the certificate of {server.host}:{server.port} is not one of the internal CA for "
                f"{server.tls_name} ({error.verify_message}): run the role pki on that guest, or correct tls_name",
            ) from None
        except (OSError, TimeoutError, ValueError) as error:
            raise ConnectionFailedError(
                f"pbx {server.name}: {server.host}:{server.port} cannot be reached ({_reason(error)}); trying again"
            ) from None

    async def _log_in(self, stream: _Stream) -> None:
        server = self.server
        assert self._login is not None  # noqa: S101 - set by the only caller
        self._login_id = self.send("Login", {"Username": server.username, "Secret": server.secret.get_secret_value()})
        await asyncio.wait((self._login, stream.lost), timeout=LOGIN_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not self._login.done():
            raise ConnectionFailedError(f"pbx {server.name}: no answer to the log-in on {server.host}:{server.port}")
        if self._login.result().name != "Success":
            raise ConnectionFailedError(
                f"pbx {server.name}: the log-in as {server.username} was refused: "
                "compare username and secret with manager.conf on that guest",
                REFUSED_DELAY,
            )

    async def _watch(self, stream: _Stream) -> None:
        loop = asyncio.get_running_loop()
        while not stream.lost.done():
            # Not later than the end of its time: who hung just after a look would be found after three intervals.
            left = stream.last_data + 2 * PING_INTERVAL - loop.time()
            await asyncio.wait((stream.lost,), timeout=max(0.0, min(PING_INTERVAL, left)))
            if loop.time() - stream.last_data >= 2 * PING_INTERVAL:
                raise ConnectionFailedError(f"pbx {self.server.name}: silent for {2 * PING_INTERVAL:.0f} s, given up")
            self.send("Ping")
        raise ConnectionFailedError(f"pbx {self.server.name}: connection lost")

    def _received(self, frames: list[bytes]) -> None:
        self.messages += len(frames)
        # Each is read when its turn has come: those of a large read, all at once, would take some megabytes.
        messages = map(parse, frames)
        if self.up:
            self._receiver.received(self, messages)
            return
        for message in messages:
            if message.kind is Kind.RESPONSE and message.headers.get("ActionID") == self._login_id:
                if self._login is not None and not self._login.done():
                    self._login.set_result(message)
                return


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    # What the resolver or TLS cannot even take for a name: a label that is empty or too long.
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "this is no name: correct it"
