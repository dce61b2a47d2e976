"""The WebSocket server: who may begin to speak, and on which path."""

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

from picows import WSUpgradeRequest, WSUpgradeResponseWithListener, ws_create_server

from centralino.contract.tokens import Claims
from centralino.cti.actions.desk import Desk
from centralino.cti.bans import Accuse
from centralino.cti.config import Clients, Listen, Metrics
from centralino.cti.web.client import Client
from centralino.cti.web.doorway import open_doors
from centralino.cti.web.feeds import Feeds, Format
from centralino.cti.web.limits import Counts
from centralino.cti.web.status import health, metrics_listener, status

log = logging.getLogger(__name__)

PATHS: dict[str, Format] = {"/live": "live", "/": "amiws"}
GOING_AWAY = 1001
_SEQUENCE = re.compile(r"[0-9]{1,15}")
PING_INTERVAL = 20.0
"""Seconds between two pings to all; whoever has not answered one when the next is due is gone."""


def tls_context(listen: Listen) -> ssl.SSLContext | None:
    """Return what browsers see: TLS 1.2 or newer with the guest's certificate; None where another does that."""
    if listen.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*listen.tls)
    return context


@contextlib.contextmanager
def _named(port: int) -> Iterator[None]:
    """Let an error of listening name the port."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"port {port} ({error.strerror})") from None


class WebServer:
    """Listens for browsers and holds their limits; implements what a client needs of its house."""

    def __init__(
        self,
        settings: Clients,
        feeds: Feeds,
        desk: Desk,
        claims: Callable[[str], Awaitable[Claims]],
        report: Callable[[], dict[str, object]],
        *,
        accuse: Accuse,
    ) -> None:
        self.settings = settings
        self.feeds = feeds
        self.desk = desk
        self.claims = claims
        self.accuse = accuse
        self.users = Counts()
        self.addresses = Counts()
        self._report = report
        self._clients: set[Client] = set()
        self._servers: list[asyncio.Server] = []
        self._metrics: list[asyncio.Server] = []
        self._draining = False
        self._empty = asyncio.Event()

    @property
    def per_user(self) -> int:
        """Connections that one user may have."""
        return self.settings.per_user

    @property
    def per_address(self) -> int:
        """Connections that may come from one address."""
        return self.settings.per_address

    @property
    def message_bytes(self) -> int:
        """How long a client's message may be."""
        return self.settings.message_bytes

    @property
    def queue_bytes(self) -> int:
        """What may wait for a slow reader."""
        return self.settings.queue_bytes

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    async def listen(self, addresses: Iterable[str], port: int, tls: ssl.SSLContext | None) -> None:
        """Listen there, and no longer where it was before; who is connected stays."""
        self.stop_listening()
        with _named(port):
            server = await open_doors(
                self._answer,
                [str(address) for address in addresses],
                port,
                tls,
                message_bytes=lambda: self.settings.message_bytes,
                broken=self.feeds.counts.broken,
            )
        self._servers = [server]

    async def listen_for_metrics(self, metrics: Metrics | None, page: Callable[[], bytes]) -> None:
        """Answer Prometheus there, and no longer where it was before."""
        for server in self._metrics:
            server.close()
        self._metrics = []
        if metrics is not None:
            listener = metrics_listener(page, self._report)
            with _named(metrics.port):
                self._metrics.append(await ws_create_server(listener, str(metrics.address), metrics.port))

    def stop_listening(self) -> None:
        """Take no more connections."""
        for server in self._servers:
            server.close()
        self._servers = []

    async def ping(self) -> None:
        """Ask all clients now and then whether they are still there; picows would take a task for each."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            for client in tuple(self._clients):
                client.ping()
            self.feeds.heartbeat()

    async def drain(self, seconds: float) -> None:
        """Send all clients away, and wait for their good-byes."""
        self._draining = True
        self.stop_listening()
        for client in tuple(self._clients):
            client.close(GOING_AWAY, "restarting")
        if self._clients:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    def arrived(self, client: Client) -> None:
        """Count a client in."""
        self._clients.add(client)

    def left(self, client: Client) -> None:
        """Count a client out."""
        self._clients.discard(client)
        if self._draining and not self._clients:
            self._empty.set()

    def _answer(self, request: WSUpgradeRequest) -> Client | WSUpgradeResponseWithListener:
        """Answer a request before its upgrade; never raises, for picows would show the error to the client."""
        try:
            target = urlsplit(request.path.decode("ascii"))
            query = parse_qs(target.query, max_num_fields=16)
        except ValueError:
            return status(400, b"bad request")
        if target.path == "/health":
            return health(self._report())
        form = PATHS.get(target.path)
        if form is None:
            return status(404, b"not found")
        origins = request.headers.getall("Origin", [])
        if any(origin not in self.settings.origins for origin in origins):
            self.feeds.counts.refused["origin"] += 1
            log.warning("client refused: reason=origin origin=%r", origins[0][:100])
            return status(403, b"this origin may not connect")
        if self._draining or len(self._clients) >= self.settings.total:
            self.feeds.counts.refused["too_many_clients"] += 1
            return status(503, b"too many clients")
        token = query.get("token", [None])[0]
        since = query.get("since", [""])[0]
        return Client(self, form, token, int(since) if _SEQUENCE.fullmatch(since) else None)
