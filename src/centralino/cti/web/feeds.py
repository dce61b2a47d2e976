"""One feed a tenant and format: what is new is built once and written to every client of the feed.

While little happens it is written at once. Under load it is gathered: what comes soon after a round of writes waits for
what comes with it four times as long as that round took, 2 ms at most. So many clients are worth waiting for, few are
not, and writing takes no more than a fifth of the time until the 2 ms are full.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Protocol, override

from centralino.contract.live import ChangeMessage, HeartbeatMessage, SnapshotMessage
from centralino.contract.model import Model
from centralino.contract.names import internal_context
from centralino.cti.ami.message import Message
from centralino.cti.boards import Boards
from centralino.cti.metrics import Counts
from centralino.cti.state import Extension
from centralino.cti.web import amiws, frames

Format = Literal["live", "amiws"]
SECTIONS: Final = ("calls", "queues", "parked", "conferences")
HISTORY: Final = 500
"""Changes that a feed keeps for clients that come back after a short break."""
LINGER: Final = 30.0
"""Seconds that a feed goes on without clients, so that the only page of a tenant can come back, too."""

LONGEST_GATHERING = 0.002
_PATIENCE = 4
"""How many times as long as a round of writes took, what comes next may wait."""
_TIMER_RESOLUTION = 0.0005
"""A shorter wait than this is none: the loop's timers count whole milliseconds."""


class Reader(Protocol):
    """A client as its feed sees it."""

    def write(self, data: bytes) -> None:
        """Send whole frames; never blocks."""


class Feed(ABC):
    """The clients of one tenant and format, and what they have not been sent yet."""

    def __init__(self, tenant: int, boards: Boards) -> None:
        self.tenant = tenant
        self.clients: set[Reader] = set()
        """All clients."""
        self.readers: set[Reader] = set()
        """Those that keep up."""
        self.end: asyncio.TimerHandle | None = None
        """When it ends, while it has no clients."""
        self._boards = boards

    @abstractmethod
    def collect(self) -> bytes:
        """Return the frames since the last call, empty where there are none."""

    @abstractmethod
    def snapshot(self) -> bytes:
        """Return the frames that bring a client to where :meth:`collect` was last called, or further."""


class LiveFeed(Feed):
    """Our own format: numbered changes, everything in one that came together."""

    def __init__(self, tenant: int, boards: Boards) -> None:
        super().__init__(tenant, boards)
        # Numbers of former feeds of this tenant must not fit into this one's: a client that resumes would miss changes.
        self._seq = time.time_ns() // 1_000_000
        self._changed: dict[str, set[str]] = {}
        self._snapshot: bytes | None = None
        self._connected = boards.connected(tenant)
        self._history: deque[tuple[int, bytes]] = deque(maxlen=HISTORY)

    def change(self, section: str, keys: set[str]) -> None:
        """Note what changed or vanished."""
        self._changed.setdefault(section, set()).update(keys)
        self._snapshot = None

    @override
    def collect(self) -> bytes:
        if not self._changed:
            return b""
        changed, self._changed = self._changed, {}
        connected = self._boards.connected(self.tenant)
        numbers = changed.pop("extensions", set())
        told = {section: self._entries(section, keys) for section, keys in changed.items() if keys}
        if connected == self._connected and not numbers and not told:
            return b""
        self._seq += 1
        self._snapshot = None
        states = self._boards.states(self.tenant, numbers)
        if len(states) < len(numbers):
            # An extension vanished, which a change cannot say: all readers get the whole picture.
            self._connected = connected
            self._history.clear()
            return self.snapshot()
        fields: dict[str, Any] = {"seq": self._seq, "extensions": states, **told}
        if connected != self._connected:
            self._connected = fields["connected"] = connected
        unchanged = {"connected", *SECTIONS} - fields.keys()
        # Not validated: all of it is of the models' types already.
        frame = frames.text(ChangeMessage.model_construct(**fields).model_dump_json(exclude=unchanged).encode())
        self._history.append((self._seq, frame))
        return frame

    @override
    def snapshot(self) -> bytes:
        if self._snapshot is None:
            message = SnapshotMessage(
                seq=self._seq,
                connected=self._boards.connected(self.tenant),
                extensions=self._boards.states(self.tenant),
                **{section: self._boards.section(self.tenant, section) for section in SECTIONS},  # type: ignore[arg-type]
            )
            self._snapshot = frames.text(message.model_dump_json().encode())
        return self._snapshot

    def resume(self, seq: int) -> bytes | None:
        """Return what a client has missed that saw ``seq`` last; None where that is not known any more."""
        if seq == self._seq:
            return frames.text(HeartbeatMessage(seq=seq).model_dump_json().encode())
        if not self._history or not self._history[0][0] - 1 <= seq < self._seq:
            return None
        return b"".join(frame for number, frame in self._history if number > seq)

    def heartbeat(self) -> bytes:
        """Return what tells a page that the silence is none of the network's."""
        return frames.text(HeartbeatMessage(seq=self._seq).model_dump_json().encode())

    def _entries(self, section: str, keys: set[str]) -> dict[str, Model | None]:
        entries = self._boards.section(self.tenant, section)
        return {key: entries.get(key) for key in sorted(keys)}


class AmiwsFeed(Feed):
    """amiws' format: each event as it comes."""

    def __init__(self, tenant: int, boards: Boards, server_ids: Mapping[str, int]) -> None:
        super().__init__(tenant, boards)
        self._server_ids = server_ids
        self._frames: list[bytes] = []

    def event(self, server: str, message: Message) -> None:
        """Note an event of the tenant."""
        self._frames.append(frames.text(amiws.encode(message, self._server_ids.get(server, 0), server)))

    @override
    def collect(self) -> bytes:
        gathered, self._frames = self._frames, []
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    def restate(self, numbers: Iterable[str]) -> None:
        """Note states that no event has told, as the events that would have."""
        extensions = self._boards.extensions.of(self.tenant)
        self._frames += [self._status(number, extensions[number]) for number in sorted(numbers) if number in extensions]

    @override
    def snapshot(self) -> bytes:
        extensions = self._boards.extensions.of(self.tenant)
        return b"".join(self._status(number, extension) for number, extension in sorted(extensions.items()))

    def _status(self, number: str, extension: Extension) -> bytes:
        status = amiws.extension_status(number, internal_context(self.tenant), extension.state)
        return frames.text(amiws.encode(status, self._server_ids.get(extension.server, 0), extension.server))


class Feeds:
    """All feeds that somebody reads, and the rounds of writing."""

    def __init__(self, boards: Boards, server_ids: Mapping[str, int], counts: Counts | None = None) -> None:
        self.counts = counts or Counts()
        self.server_ids = server_ids
        """Name → amiws' ``server_id``, which counts the configured servers from 1."""
        self._boards = boards
        self._live: dict[int, LiveFeed] = {}
        self._amiws: dict[int, AmiwsFeed] = {}
        self._dirty: set[Feed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._gathering = 0.0
        """Seconds that an event may wait for others."""
        self._busy_until = 0.0
        self._since = 0.0

    @property
    def wants_events(self) -> bool:
        """Whether anybody reads events in amiws' format."""
        return bool(self._amiws)

    def numbers(self) -> dict[Format, int]:
        """Return how many clients each format has."""
        return {
            "live": sum(len(feed.clients) for feed in self._live.values()),
            "amiws": sum(len(feed.clients) for feed in self._amiws.values()),
        }

    def join(self, tenant: int, form: Format, client: Reader, since: int | None = None) -> Feed:
        """Enter a client and send it the state of things, or what it has missed where it saw ``since`` last."""
        feed: Feed
        if form == "live":
            feed = self._live.setdefault(tenant, LiveFeed(tenant, self._boards))
        else:
            feed = self._amiws.setdefault(tenant, AmiwsFeed(tenant, self._boards, self.server_ids))
        if feed.end is not None:
            feed.end.cancel()
        feed.clients.add(client)
        feed.readers.add(client)
        missed = feed.resume(since) if since is not None and isinstance(feed, LiveFeed) else None
        client.write(feed.snapshot() if missed is None else missed)
        return feed

    def leave(self, feed: Feed, client: Reader) -> None:
        """Take a client out; a feed without clients ends, a numbered one after a while."""
        feed.clients.discard(client)
        feed.readers.discard(client)
        if feed.clients:
            return
        if isinstance(feed, LiveFeed):
            feed.end = asyncio.get_running_loop().call_later(LINGER, self._end, feed)
        else:
            self._end(feed)

    def heartbeat(self) -> None:
        """Tell all pages that the connection lives."""
        for feed in self._live.values():
            data = feed.heartbeat()
            for reader in tuple(feed.readers):
                reader.write(data)

    def _end(self, feed: Feed) -> None:
        self._dirty.discard(feed)
        feeds: dict[int, LiveFeed] | dict[int, AmiwsFeed] = self._live if isinstance(feed, LiveFeed) else self._amiws
        if feeds.get(feed.tenant) is feed:
            del feeds[feed.tenant]

    def changed(self, tenant: int, section: str, keys: set[str]) -> None:
        """Tell what changed or vanished in a section of a tenant's board."""
        feed = self._live.get(tenant)
        if feed is not None:
            feed.change(section, keys)
            self._dirty.add(feed)

    def reach_changed(self) -> None:
        """Have pages told whether their PBX is within reach, also where nothing else has changed."""
        for feed in self._live.values():
            feed.change("extensions", set())
            self._dirty.add(feed)

    def restated(self, tenant: int, numbers: Iterable[str]) -> None:
        """Tell in amiws' format what extensions do where no event has told it."""
        feed = self._amiws.get(tenant)
        if feed is not None:
            feed.restate(numbers)
            self._dirty.add(feed)

    def event(self, tenant: int, server: str, message: Message) -> None:
        """Pass an event on in amiws' format."""
        feed = self._amiws.get(tenant)
        if feed is not None:
            feed.event(server, message)
            self._dirty.add(feed)

    def settle(self) -> None:
        """Write what is new, or see to it that it is written soon; to be called when a batch of events is through."""
        if not self._dirty or self._timer is not None:
            return
        self._since = time.monotonic()
        if self._since < self._busy_until and self._gathering >= _TIMER_RESOLUTION:
            self._timer = asyncio.get_running_loop().call_later(self._gathering, self._write)
        else:
            self._write()

    def _write(self) -> None:
        self._timer = None
        start = time.monotonic()
        dirty, self._dirty = self._dirty, set()
        for feed in dirty:
            data = feed.collect()
            if not data:
                continue
            self.counts.written_messages += len(feed.readers)
            self.counts.written_bytes += len(feed.readers) * len(data)
            # A write may make its client a slow reader, which takes it out of the set.
            for reader in tuple(feed.readers):
                reader.write(data)
        end = time.monotonic()
        self.counts.longest_lag = max(self.counts.longest_lag, end - self._since)
        self._gathering = min(LONGEST_GATHERING, _PATIENCE * (end - start))
        self._busy_until = end + self._gathering
