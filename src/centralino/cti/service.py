"""The process: all parts wired, the configuration read again on SIGHUP, clients sent away on SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from centralino.contract.tokens import Claims
from centralino.cti import notify
from centralino.cti.actions.desk import Desk
from centralino.cti.ami.connection import Connection
from centralino.cti.bans import accuse
from centralino.cti.boards import Boards
from centralino.cti.config import Config, ConfigError, Listen, Metrics, Panel, Server, load
from centralino.cti.exchange import Exchange
from centralino.cti.figures import families
from centralino.cti.metrics import render
from centralino.cti.tokens import Gatekeeper, Keys, state_path
from centralino.cti.web.feeds import Feeds
from centralino.cti.web.server import WebServer, tls_context

log = logging.getLogger(__name__)

DRAIN: Final = 3.0
"""Seconds that clients have to say good-bye."""


def ami_context(ca: Path) -> ssl.SSLContext:
    """Return what a PBX is checked with: TLS 1.2 or newer, a certificate of the internal CA with its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    return context


def check_files(config: Config) -> None:
    """Load every file that the configuration names.

    Raises:
        ConfigError: naming the first that cannot be used.

    """
    try:
        ami_context(config.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca: {config.ca} cannot be loaded ({_reason(error)}): run the role pki") from None
    for section, pair in (("listen", config.listen.tls), ("panel", (config.panel.certificate, config.panel.key))):
        if pair is None:
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{section}: {pair[0]} and {pair[1]} cannot be loaded ({_reason(error)}): "
                "run the role pki; this user must be a member of ssl-cert"
            ) from None


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error.strerror or type(error).__name__)


class Service:
    """Everything that runs."""

    def __init__(self, path: Path, config: Config, keys: Keys) -> None:
        self._path = path
        self._config = config
        self._keys = keys
        self._boards = Boards()
        self._server_ids: dict[str, int] = {}
        self._feeds = Feeds(self._boards, self._server_ids)
        self._desk = Desk(self._boards, self._send, self._server_ids)
        self._exchange = Exchange(self._boards, self._feeds, self._desk.answered)
        self._pinging: asyncio.Task[None] | None = None
        self._connections: dict[Server, tuple[Connection, asyncio.Task[None]]] = {}
        self._gatekeeper: tuple[Panel, Gatekeeper, asyncio.Task[None]] | None = None
        self._listens: Listen | None = None
        """Where browsers are listened for; None where that failed, so that each reload tries it again."""
        self._measured: Metrics | None = None
        """Where Prometheus is answered."""
        self._tls: ssl.SSLContext | None = None
        self._ami_tls: ssl.SSLContext | None = None
        self.web = WebServer(config.clients, self._feeds, self._desk, self._claims, self.health, accuse=self._accuse)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reloads: asyncio.Queue[None] = asyncio.Queue(maxsize=1)

        def want_reload() -> None:
            with contextlib.suppress(asyncio.QueueFull):
                reloads.put_nowait(None)

        loop.add_signal_handler(signal.SIGHUP, want_reload)
        await self.start()
        notify.notify("READY=1")
        # What is there now stays to the end: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        helpers = [asyncio.create_task(helper) for helper in (self._reload_when_wanted(reloads), _feed_watchdog())]
        await stop.wait()
        notify.notify("STOPPING=1")
        log.info("stopping: %d clients are sent away", self.web.clients)
        for helper in helpers:
            helper.cancel()
        await self.stop()

    async def start(self) -> None:
        """Begin to listen and to connect."""
        await self._apply(self._config)
        self._pinging = asyncio.create_task(self.web.ping())

    async def stop(self) -> None:
        """Send clients away and end all connections."""
        await self.web.drain(DRAIN)
        await self.web.listen_for_metrics(None, self.metrics)
        tasks = [task for _, task in self._connections.values()]
        if self._pinging is not None:
            tasks.append(self._pinging)
        if self._gatekeeper is not None:
            tasks.append(self._gatekeeper[2])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._gatekeeper is not None:
            self._gatekeeper[1].close()

    async def reload(self) -> None:
        """Read the file again; a wrong one is refused and the running configuration kept."""
        try:
            config = load(self._path)
            check_files(config)
        except ConfigError as error:
            log.error("configuration not reloaded, the running one is kept: %s", error)  # noqa: TRY400 - a sentence
            return
        former = self._config
        try:
            await self._apply(config)
        except OSError as error:
            log.error("configuration not reloaded, the running one is kept: cannot listen on %s", error.strerror)  # noqa: TRY400
            await self._return_to(former)
            return
        log.info("configuration reloaded")

    async def _return_to(self, former: Config) -> None:
        try:
            await self._apply(former)
        except OSError as error:
            log.error(  # noqa: TRY400 - a sentence
                "the running configuration cannot be kept: cannot listen on %s; free the port and reload again",
                error.strerror,
            )

    def health(self) -> dict[str, object]:
        """Return what ``/health`` answers."""
        pbxes = {server.name: connection.up for server, (connection, _) in self._connections.items()}
        ok = all(pbxes.values()) and len(self._keys) > 0
        return {
            "status": "ok" if ok else "degraded",
            "pbx": {name: "up" if up else "down" for name, up in pbxes.items()},
            "keys": len(self._keys),
            "clients": self.web.clients,
        }

    def metrics(self) -> bytes:
        """Return what ``/metrics`` answers."""
        connections = [connection for connection, _ in self._connections.values()]
        return render(families(connections, self._feeds, self._desk, len(self._keys)))

    async def _apply(self, config: Config) -> None:
        self._config = config
        self.web.settings = config.clients
        self._apply_panel(config)
        if config.metrics != self._measured:
            self._measured = None
            await self.web.listen_for_metrics(config.metrics, self.metrics)
            self._measured = config.metrics
        # Not for other limits, which hold at once: whoever waits to be accepted would be cut off.
        if config.listen != self._listens:
            self._tls = tls_context(config.listen)
            self._listens = None
            await self.web.listen((str(a) for a in config.listen.addresses), config.listen.port, self._tls)
            self._listens = config.listen
        elif self._tls is not None and config.listen.tls is not None:
            # The certificate may have been renewed under its old name; it holds for new connections.
            self._tls.load_cert_chain(*config.listen.tls)
        await self._apply_servers(config)

    def _apply_panel(self, config: Config) -> None:
        former = self._gatekeeper
        # Made anew at each reload, for the client certificate may have been renewed.
        gatekeeper = Gatekeeper(config.panel, config.ca, self._keys)
        self._gatekeeper = (config.panel, gatekeeper, asyncio.create_task(gatekeeper.run()))
        if former is not None:
            former[2].cancel()
            former[1].close()

    async def _apply_servers(self, config: Config) -> None:
        self._server_ids.clear()
        self._server_ids.update((server.name, number) for number, server in enumerate(config.server, start=1))
        if self._ami_tls is None:
            self._ami_tls = ami_context(config.ca)
        else:
            self._ami_tls.load_verify_locations(config.ca)
        for server in tuple(self._connections):
            if server not in config.server:
                _, task = self._connections.pop(server)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                if server.name not in self._server_ids:
                    self._exchange.forget(server.name)
        for server in config.server:
            if server not in self._connections:
                self._boards.expect(server.name)
                connection = Connection(server, self._ami_tls, self._exchange)
                self._connections[server] = (connection, asyncio.create_task(connection.run()))

    def _send(self, server: str, action: str, fields: Mapping[str, str]) -> str | None:
        for connection, _ in self._connections.values():
            if connection.server.name == server and connection.up:
                return connection.send(action, fields)
        return None

    async def _claims(self, token: str) -> Claims:
        assert self._gatekeeper is not None  # noqa: S101 - there from the start
        return await self._gatekeeper[1].claims(token)

    def _accuse(self, address: str, reason: str) -> None:
        accuse(self._config.bans, address, reason)

    async def _reload_when_wanted(self, wanted: asyncio.Queue[None]) -> None:
        while True:
            await wanted.get()
            notify.reloading()
            await self.reload()
            notify.notify("READY=1")


async def _feed_watchdog() -> None:
    interval = notify.watchdog_interval()
    while interval is not None:
        notify.notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def serve(path: Path, config: Config) -> None:
    """Run the service with a configuration that was read from ``path``."""
    keys = Keys(state_path())
    keys.load()
    await Service(path, config, keys).run()
