"""The lab's stand-in for tests: the real server, TLS, tokens and state, in a thread, on ports of its own.

Its machines are in memory unless a test brings a runtime; what podman adds is tested where podman runs, in
``tests/contract/lab/test_podman.py``.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from proxmoxer import ProxmoxAPI

from lab.errors import LabError
from lab.proxmox import auth, tls
from lab.proxmox.layout import Node
from lab.proxmox.runtime import Hardware, Power, Runtime
from lab.proxmox.server import MANAGER, make_app
from lab.proxmox.state import Store

URL = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
IMAGE = "local:import/debian-13.qcow2"


class Machines:
    """A runtime whose machines boot at once and only remember what they are and whether they run."""

    def __init__(self) -> None:
        self.hardware: dict[int, Hardware] = {}
        self.running: dict[int, bool] = {}
        self._since: dict[int, int] = {}

    async def states(self) -> dict[int, Power]:
        return {vmid: Power(running, self._since.get(vmid, 0)) for vmid, running in self.running.items()}

    async def start(self, hardware: Hardware, *, existing: bool) -> None:
        del existing
        others = [self.hardware[vmid] for vmid, runs in self.running.items() if runs and vmid in self.hardware]
        here = [other.address for other in others if other.connected and other.vmid != hardware.vmid]
        if hardware.connected and hardware.address in here:
            raise LabError(f"{hardware.address}: another container has that address")
        self.hardware[hardware.vmid] = hardware
        self.running[hardware.vmid] = True
        self._since[hardware.vmid] = int(time.time())

    async def stop(self, vmid: int, *, seconds: int) -> None:
        del seconds
        self.running[vmid] = False

    async def remove(self, vmid: int) -> None:
        self.running.pop(vmid, None)

    async def copy_disk(self, vmid: int) -> str:
        return f"copy-of-{vmid}"

    async def remove_image(self, image: str) -> None:
        del image

    async def ask_agent(self, vmid: int, command: list[str]) -> str:
        del vmid
        return "[]" if command[0] == "ip" else ""


@dataclass
class StandIn:
    """A running stand-in: how to reach it, what it holds, and what it was asked."""

    port: int
    folder: Path
    store: Store
    machines: Any
    """Its runtime: :class:`Machines` unless the test brought one."""
    requests: list[tuple[str, str]]
    """Method and path of each, in their order."""
    _loop: asyncio.AbstractEventLoop
    _app: web.Application

    def client(self, *, timeout: float = 30, **change: Any) -> Any:
        """Return a proxmoxer client with the automation token, as the provisioner's."""
        token = json.loads((self.folder / "token.json").read_text())
        user, _, name = token["id"].partition("!")
        log_in = {"user": user, "token_name": name, "token_value": token["secret"]} | change
        authority = str(self.folder / "ca.pem")
        return ProxmoxAPI("127.0.0.1", port=self.port, verify_ssl=authority, timeout=timeout, **log_in)

    def lose(self, node: str) -> None:
        """Take a node's power away."""
        self.run(self._app[MANAGER].lose(node))

    def give_back(self, node: str) -> None:
        """Give it its power back."""
        self.run(self._app[MANAGER].give_back(node))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine where the stand-in works, to its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def written(self) -> list[str]:
        """Return the requests since the last call that were no reads."""
        writes = [f"{method} {path.removeprefix('/api2/json')}" for method, path in self.requests if method != "GET"]
        self.requests.clear()
        return writes


@contextmanager
def standing(
    folder: Path,
    nodes: Mapping[str, Node] | None = None,
    *,
    machines: Runtime | None = None,
    beside: Callable[[web.Application], AsyncIterator[None]] | None = None,
) -> Iterator[StandIn]:
    """Run a stand-in, and beside it what aiohttp calls a clean-up context.

    With nodes of its own it is reached at each one's address, on the same port; otherwise at 127.0.0.1.
    """
    folder.mkdir(exist_ok=True)
    runtime = machines or Machines()
    store, requests = Store(folder / "cluster.json", nodes), list[tuple[str, str]]()
    auth.prepare(store.cluster, folder)
    tls.prepare(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        requests.append((request.method, request.path))
        answer: web.StreamResponse = await handler(request)
        return answer

    app = make_app(store, runtime)
    app.middlewares.append(note)
    if beside:
        app.cleanup_ctx.append(beside)

    async def serve() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(app)
        await runner.setup()
        port = 0
        for address in [node.address for node in nodes.values()] if nodes else ["127.0.0.1"]:
            await web.TCPSite(runner, address, port, ssl_context=context).start()
            port = int(runner.addresses[0][1])
        return runner, port

    async def end(runner: web.AppRunner) -> None:
        # Clients keep their connections open, and TLS would wait for their farewell.
        for connection in runner.server.connections if runner.server else ():
            if isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
        await runner.cleanup()

    loop = asyncio.new_event_loop()
    runner, port = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield StandIn(port, folder, store, runtime, requests, loop, app)
    finally:
        asyncio.run_coroutine_threadsafe(end(runner), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def end_of(api: Any, upid: str, *, seconds: float = 30) -> str:
    """Wait for a task and return its exit status."""
    deadline = time.monotonic() + seconds
    while (task := api.nodes(upid.split(":")[1]).tasks(upid).status.get())["status"] != "stopped":
        assert time.monotonic() < deadline, f"{upid} goes on"
        time.sleep(0.05)
    return str(task["exitstatus"])


def make_template(api: Any, vmid: int = 9000, storage: str = "shared") -> None:
    """Make a golden template as a provisioner does."""
    node = api.nodes("pve1")
    if IMAGE not in [volume["volid"] for volume in node.storage("local").content.get()]:
        upid = node.storage("local").post("download-url", content="import", filename="debian-13.qcow2", url=URL)
        assert end_of(api, upid) == "OK"
    settings = {
        "vmid": vmid, "name": "golden", "memory": 2048, "net0": "virtio,bridge=vmbr0", "agent": "enabled=1",
        "scsi0": f"{storage}:0,import-from={IMAGE}", "ide2": f"{storage}:cloudinit", "boot": "order=scsi0",
    }  # fmt: skip
    assert end_of(api, node.qemu.post(**settings)) == "OK"
    assert end_of(api, node.qemu(vmid).template.post()) == "OK"
