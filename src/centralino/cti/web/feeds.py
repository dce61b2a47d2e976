"""One feed a tenant and format: what is new is built once and written to every client of the feed.

While little happens it is written at once. Under load it is gathered: after a round of writes the next waits four times
as long as the round took, 2 ms at most. So many clients are worth waiting for, few are not, and writing takes no more
than a fifth of the time until the 2 ms are full.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Literal, Protocol, override

from centralino.contract.live import ChangeMessage, ExtensionState, SnapshotMessage
from centralino.contract.names import internal_context
from centralino.cti.ami.message import Message
from centralino.cti.state import Extension, Extensions
from centralino.cti.web import amiws, frames

Format = Literal["live", "amiws"]

LONGEST_GATHERING = 0.002
_PATIENCE = 4
"""How many times as long as a round of writes took, the next may wait."""
_TIMER_RESOLUTION = 0.0005
"""A shorter wait than this is none: the loop's timers count whole milliseconds."""


class Reader(Protocol):
    """A client as its feed sees it."""

    def write(self, data: bytes) -> None:
        """Send whole frames; never blocks."""


class Feed:
    """The clients of one tenant and format, and what they have not been sent yet."""

    def __init__(self, tenant: int, extensions: Extensions) -> None:
        self.tenant = tenant
        self.clients: set[Reader] = set()
        """All clients."""
        self.readers: set[Reader] = set()
        """Those that keep up."""
        self._extensions = extensions

    def collect(self) -> bytes:
        """Return the frames since the last call, empty where there are none."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """Return the frames that bring a client to where :meth:`collect` was last called, or further."""
        raise NotImplementedError


class LiveFeed(Feed):
    """Our own format: numbered changes, several extensions in one where they came together."""

    def __init__(self, tenant: int, extensions: Extensions) -> None:
        super().__init__(tenant, extensions)
        self._seq = 0
        self._changed: set[str] = set()
        self._snapshot: bytes | None = None

    def change(self, numbers: set[str]) -> None:
        """Note extensions that changed or vanished."""
        self._changed |= numbers
        self._snapshot = None

    @override
    def collect(self) -> bytes:
        if not self._changed:
            return b""
        self._seq += 1
        self._snapshot = None
        changed, self._changed = self._changed, set()
        now = self._extensions.of(self.tenant)
        states = {number: now[number] for number in sorted(changed) if number in now}
        if len(states) < len(changed):
            # Something vanished, which a change cannot say: all readers get the whole picture.
            return self.snapshot()
        return frames.text(_document(ChangeMessage(seq=self._seq, extensions=_states(states))))

    @override
    def snapshot(self) -> bytes:
        if self._snapshot is None:
            message = SnapshotMessage(seq=self._seq, extensions=_states(self._extensions.of(self.tenant)))
            self._snapshot = frames.text(_document(message))
        return self._snapshot


class AmiwsFeed(Feed):
    """amiws' format: each event as it comes."""

    def __init__(self, tenant: int, extensions: Extensions, server_ids: Mapping[str, int]) -> None:
        super().__init__(tenant, extensions)
        self._server_ids = server_ids
        self._frames: list[bytes] = []

    def event(self, server: str, message: Message) -> None:
        """Note an event of the tenant."""
        self._frames.append(frames.text(amiws.encode(message, self._server_ids.get(server, 0), server)))

    @override
    def collect(self) -> bytes:
        gathered, self._frames = self._frames, []
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    @override
    def snapshot(self) -> bytes:
        context = internal_context(self.tenant)
        return b"".join(
            frames.text(
                amiws.encode(
                    amiws.extension_status(number, context, extension.state),
                    self._server_ids.get(extension.server, 0),
                    extension.server,
                )
            )
            for number, extension in sorted(self._extensions.of(self.tenant).items())
        )


def _states(extensions: Mapping[str, Extension]) -> dict[str, ExtensionState]:
    return {number: ExtensionState(state=e.state, since=e.since) for number, e in extensions.items()}


def _document(message: ChangeMessage | SnapshotMessage) -> bytes:
    return message.model_dump_json().encode()


class Feeds:
    """All feeds that somebody reads, and the rounds of writing."""

    def __init__(self, extensions: Extensions, server_ids: Mapping[str, int]) -> None:
        self.server_ids = server_ids
        """Name → amiws' ``server_id``, which counts the configured servers from 1."""
        self._extensions = extensions
        self._live: dict[int, LiveFeed] = {}
        self._amiws: dict[int, AmiwsFeed] = {}
        self._dirty: set[Feed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0

    @property
    def wants_events(self) -> bool:
        """Whether anybody reads events in amiws' format."""
        return bool(self._amiws)

    def all_clients(self) -> Iterator[Reader]:
        """Iterate over all clients."""
        for feed in (*self._live.values(), *self._amiws.values()):
            yield from feed.clients

    def join(self, tenant: int, form: Format, client: Reader) -> Feed:
        """Enter a client and send it the state of things."""
        feed: Feed
        if form == "live":
            feed = self._live.setdefault(tenant, LiveFeed(tenant, self._extensions))
        else:
            feed = self._amiws.setdefault(tenant, AmiwsFeed(tenant, self._extensions, self.server_ids))
        feed.clients.add(client)
        feed.readers.add(client)
        client.write(feed.snapshot())
        return feed

    def leave(self, feed: Feed, client: Reader) -> None:
        """Take a client out; a feed without clients ends."""
        feed.clients.discard(client)
        feed.readers.discard(client)
        if not feed.clients:
            self._dirty.discard(feed)
            feeds: dict[int, LiveFeed] | dict[int, AmiwsFeed] = (
                self._live if isinstance(feed, LiveFeed) else self._amiws
            )
            if feeds.get(feed.tenant) is feed:
                del feeds[feed.tenant]

    def changed(self, tenant: int, numbers: set[str]) -> None:
        """Tell that extensions changed or vanished."""
        feed = self._live.get(tenant)
        if feed is not None:
            feed.change(numbers)
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
        wait = self._free_at - time.monotonic()
        if wait < _TIMER_RESOLUTION:
            self._write()
        else:
            self._timer = asyncio.get_running_loop().call_later(wait, self._write)

    def _write(self) -> None:
        self._timer = None
        start = time.monotonic()
        dirty, self._dirty = self._dirty, set()
        for feed in dirty:
            data = feed.collect()
            # A write may make its client a slow reader, which takes it out of the set.
            for reader in tuple(feed.readers):
                reader.write(data)
        end = time.monotonic()
        self._free_at = end + min(LONGEST_GATHERING, _PATIENCE * (end - start))
