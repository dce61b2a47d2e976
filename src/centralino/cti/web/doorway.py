"""From a connection's start to its request: whoever ends in between is counted, and what we ended ourselves is logged.

picows ends such connections without a word. Its ``WSProtocol`` is used directly for that; the version is pinned.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, override

import aiofastnet
from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined] # picows' stubs leave it out

from centralino.cti.ami.connection import TLS_BUFFER
from centralino.cti.web.client import Client

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 15.0
"""Seconds for a request to arrive: a busy machine may stand still for longer than picows' usual 5."""
SECOND_LOOK: Final = 0.25
"""Seconds from there to the end: after a stand-still the loop runs timers before it reads what came meanwhile."""
BACKLOG: Final = 1024
_TOO_LATE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n"
    b"no request in time.\n"
)

Answer = Callable[[WSUpgradeRequest], Client | WSUpgradeResponseWithListener]


class _Visitor(WSProtocol):  # type: ignore[misc] # as above
    """One connection."""

    __slots__ = ("_broken", "_peer", "_why")

    def __init__(self, answer: Answer, max_frame_size: int, broken: Counter[str]) -> None:
        super().__init__(
            None,  # host and port, of a client
            None,  # path, of a client
            False,  # is a client
            answer,
            logging.getLogger("picows.server"),
            True,  # ends by an exception of its listener
            REQUEST_TIMEOUT,
            False,  # pings: the server asks all of its clients at once
            20.0,
            20.0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # answers pings: the client does, whose bucket counts them
            max_frame_size,
            None,  # headers, of a client
            1024,  # bytes of its buffer at first
        )
        self._broken = broken
        self._peer = "unknown"
        self._why = ""

    @override
    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else "unknown"
        super().connection_made(transport)

    @override
    def eof_received(self) -> bool:
        self._why = self._why or "client_left"
        return bool(super().eof_received())

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport.request is None:
            reason = self._why or ("line_broke" if exc is not None else "we_closed")
            self._broken[reason] += 1
            # Strangers leave as they like; what we end ourselves is for those who look for the reason.
            if reason in ("timeout", "we_closed"):
                log.warning("connection ended before its request: reason=%s address=%s", reason, self._peer)
        super().connection_lost(exc)

    @override
    def _handshake_timeout_callback(self) -> None:
        asyncio.get_running_loop().call_later(SECOND_LOOK, self._too_late)

    def _too_late(self) -> None:
        if self.transport.request is None and not self.transport.is_disconnected:
            self._why = self._why or "timeout"
            self.transport.underlying_transport.write(_TOO_LATE)
            self.transport.disconnect()


async def open_doors(
    answer: Answer,
    addresses: Sequence[str],
    port: int,
    tls: ssl.SSLContext | None,
    *,
    message_bytes: Callable[[], int],
    broken: Counter[str],
) -> asyncio.Server:
    """Listen; ``broken`` counts, by reason, the connections that ended without an answer.

    Raises:
        OSError: an address or the port cannot be had.

    """
    return await aiofastnet.create_server(
        asyncio.get_running_loop(),
        lambda: _Visitor(answer, message_bytes(), broken),
        addresses,
        port,
        ssl=tls,
        reuse_address=True,
        backlog=BACKLOG,
        ssl_incoming_bio_size=None if tls is None else TLS_BUFFER,
        ssl_outgoing_bio_size=None if tls is None else TLS_BUFFER,
    )
