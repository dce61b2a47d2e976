"""The whole proxy on loopback: a panel, two PBXes, and browsers over real TLS."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as Connecting  # noqa: N812 - a class that is named as a function

from centralino.cti.config import Config, load
from centralino.cti.pictures import LISTS
from centralino.cti.service import Service
from centralino.cti.tokens import Keys
from tests.benchmarks.cti.fake_ami import SECRET, FakeAmi
from tests.contract.cti.certificates import Authority
from tests.contract.cti.panel import Panel, Signer
from tests.ports import free_port

ORIGIN = "https://panel.example.org"


@dataclass
class Stage:
    """Everything that a test speaks to."""

    folder: Path
    authority: Authority
    panel: Panel
    signer: Signer
    pbx01: FakeAmi
    pbx02: FakeAmi
    port: int
    service: Service

    @property
    def config_path(self) -> Path:
        return self.folder / "cti.toml"

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.path)

    def connect(self, path: str, **options: Any) -> Connecting:
        options = {"origin": ORIGIN, "ping_interval": None, "max_size": None, "proxy": None} | options
        return Connecting(
            f"wss://127.0.0.1:{self.port}{path}", ssl=self.client_context(), open_timeout=30, close_timeout=1, **options
        )

    def live(self, tenant: int, **options: Any) -> Connecting:
        return self.connect(f"/live?token={self.signer.token(tenant)}", **options)

    def amiws(self, tenant: int, **options: Any) -> Connecting:
        return self.connect(f"/?amiserverid=1&token={self.signer.token(tenant)}", **options)

    def write_config(self, **changes: str) -> None:
        folder = self.folder
        values = {"origin": ORIGIN, "queue_bytes": "65536", "per_user": "20", "extra": ""} | changes
        servers = "".join(
            f'[[server]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {pbx.port}\n'
            f'username = "cti"\nsecret = "{SECRET}"\n'
            for name, pbx in (("pbx01", self.pbx01), ("pbx02", self.pbx02))
        )
        self.config_path.write_text(f"""
ca = "{self.authority.path}"
[listen]
addresses = ["127.0.0.1"]
port = {self.port}
certificate = "{folder}/cti01.crt"
key = "{folder}/cti01.key"
[clients]
origins = ["{values["origin"]}"]
queue_bytes = {values["queue_bytes"]}
per_user = {values["per_user"]}
[panel]
url = "https://127.0.0.1:{self.panel.port}"
certificate = "{folder}/cti01.crt"
key = "{folder}/cti01.key"
{servers}{values["extra"]}""")


async def message(browser: ClientConnection, within: float = 30.0, *, heartbeats: bool = False) -> dict[str, Any]:
    """Receive the next message; one that only says that the connection lives comes whenever a test takes long."""
    async with asyncio.timeout(within):
        while True:
            document = json.loads(await browser.recv())
            assert isinstance(document, dict)
            if heartbeats or document.get("type") != "heartbeat":
                return document


async def silence(browser: ClientConnection, seconds: float = 0.3) -> None:
    with pytest.raises(TimeoutError):
        await message(browser, seconds)


async def until(condition: Callable[[], bool], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - it asks another part of the same loop
            await asyncio.sleep(0.01)


def told_all(pbx: FakeAmi) -> bool:
    """Tell whether it has been asked for the whole picture, and so has answered from what it was before the test."""
    return any(action["Action"] == LISTS[-1] for action in pbx.sent)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Bring everything up, and down again."""
    authority = Authority(folder)
    issued = {name: authority.issue(name) for name in ("cti01", "web01", "pbx01", "pbx02")}
    signer = Signer()
    panel = Panel(issued["web01"], authority.path, [signer])
    pbx01 = FakeAmi(issued["pbx01"].server_context(), {(175, "101"): 0, (175, "102"): 4, (176, "101"): 1})
    pbx02 = FakeAmi(issued["pbx02"].server_context(), {(177, "201"): 0})
    for part in (panel, pbx01, pbx02):
        await part.start()
    made = Stage(folder, authority, panel, signer, pbx01, pbx02, free_port(), None)  # type: ignore[arg-type]
    made.write_config()
    config: Config = load(made.config_path)
    made.service = Service(made.config_path, config, Keys(folder / "keys.json"))
    await made.service.start()
    try:
        await until(lambda: made.service.health()["status"] == "ok" and all(map(told_all, (pbx01, pbx02))))
        yield made
    finally:
        await made.service.stop()
        for part in (panel, pbx01, pbx02):
            await part.stop()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]:
    """Return a function that plays a scene on a stage of its own."""

    def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(60), stage(tmp_path) as made:
                await scene(made)

        uvloop.run(whole())

    return play
