"""A CTI proxy for one live page: what it says and what it is asked are the test's."""

import asyncio
import queue
import ssl
import threading
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from centralino.contract.live import (
    ActionMessage,
    ChangeMessage,
    ErrorMessage,
    ExtensionState,
    HeartbeatMessage,
    ResultMessage,
    SnapshotMessage,
    State,
)
from tests.unit.panel import environment


class Proxy:
    """A CTI proxy for one page: says what a test tells it to say, with the numbers that the contract wants."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.paths: queue.Queue[str] = queue.Queue()
        self.asked: queue.Queue[ActionMessage] = queue.Queue()
        self.refusal = ""
        """Why every action is refused; carried out where empty."""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._pages: set[ServerConnection] = set()
        self._sequence = 0
        self.missed: str | None = None
        """The last change, for a page that was away."""
        self.states: dict[str, State] = {"101": "free", "102": "unregistered"}
        self.connected = True
        """Whether the tenant's PBX is within reach, as a snapshot says."""
        self._server: asyncio.Event
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        self._server = asyncio.Event()
        async with serve(self._page, "localhost", environment.CTI_PORT, ssl=self._tls):
            self._ready.set()
            await self._server.wait()

    async def _page(self, page: ServerConnection) -> None:
        assert page.request is not None
        self.paths.put(page.request.path)
        await page.send(self._first(page.request.path))
        self._pages.add(page)
        async for text in page:
            asked = ActionMessage.model_validate_json(text)
            self.asked.put(asked)
            answer = ErrorMessage(code="failed", message=self.refusal, id=asked.id) if self.refusal else None
            await page.send((answer or ResultMessage(id=asked.id)).model_dump_json())
        self._pages.discard(page)

    def _first(self, path: str) -> str:
        """Return what a page is sent first: what it missed where it tells, else everything."""
        since = path.partition("&since=")[2]
        if since == str(self._sequence):
            return HeartbeatMessage(seq=self._sequence).model_dump_json()
        if self.missed is not None and since == str(self._sequence - 1):
            return self.missed
        extensions = {number: self._since(state) for number, state in self.states.items()}
        return SnapshotMessage(seq=self._sequence, connected=self.connected, extensions=extensions).model_dump_json()

    @staticmethod
    def _since(state: State) -> ExtensionState:
        return ExtensionState(state=state, since=int(time.time() * 1000) - 65_000)

    def change(self, number: str, state: State, *, skip: int = 0) -> None:
        """Tell all pages of a change; with ``skip``, leave so many messages out."""
        self.states[number] = state
        self._sequence += 1 + skip
        text = ChangeMessage(seq=self._sequence, extensions={number: self._since(state)}).model_dump_json()
        self.missed = None if skip else text
        self._do(lambda page: page.send(text))

    def tell(self, **sections: Any) -> None:
        """Tell all pages what is new in sections."""
        self._sequence += 1
        text = ChangeMessage(seq=self._sequence, **{"extensions": {}} | sections).model_dump_json()
        self.missed = text
        self._do(lambda page: page.send(text))

    def forget(self) -> None:
        """Begin other numbers, as after a restart."""
        self._sequence += 100
        self.missed = None

    def drop(self) -> None:
        """Close all connections."""
        self._do(lambda page: page.close())

    def _do(self, what: object) -> None:
        async def each() -> None:
            for page in list(self._pages):
                await what(page)  # type: ignore[operator]

        asyncio.run_coroutine_threadsafe(each(), self._loop).result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.set)
        self._thread.join(10)
