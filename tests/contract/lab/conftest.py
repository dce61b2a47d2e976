"""A stand-in in this process: the real server, TLS, tokens and state; machines that boot at once in memory.

What podman adds is tested where podman runs, in ``test_podman.py``.
"""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from proxmoxer import ProxmoxAPI

from lab.errors import LabError
from lab.proxmox import auth, tls
from lab.proxmox.crm import Manager
from lab.proxmox.runtime import Hardware, Power, Runtime
from lab.proxmox.server import MANAGER, make_app
from lab.proxmox.state import Store

URL = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
IMAGE = "local:import/debian-13.qcow2"


class MemoryRuntime:
    """Machines that are an entry in a dictionary."""

    def __init__(self) -> None:
        self.machines: dict[int, Hardware] = {}
        self.running: dict[int, int] = {}

    async def states(self) -> dict[int, Power]:
        return {vmid: Power(vmid in self.running, self.running.get(vmid, 0)) for vmid in self.machines}

    async def start(self, hardware: Hardware, *, existing: bool) -> None:
        del existing
        if any(other.address == hardware.address for vmid, other in self.machines.items() if vmid in self.running):
            raise LabError(f"{hardware.address}: another container has that address")
        self.machines[hardware.vmid] = hardware
        self.running[hardware.vmid] = int(time.time())

    async def stop(self, vmid: int, *, seconds: int) -> None:
        del seconds
        self.running.pop(vmid, None)

    async def remove(self, vmid: int) -> None:
        self.machines.pop(vmid, None)

    async def copy_disk(self, vmid: int) -> str:
        return f"copy-of-{vmid}"

    async def remove_image(self, image: str) -> None:
        del image

    async def ask_agent(self, vmid: int, command: list[str]) -> str:
        del vmid
        return "[]" if command[0] == "ip" else ""


@dataclass
class StandIn:
    """A running stand-in and how to reach it."""

    folder: Path
    port: int
    stop: Callable[[], None]
    loop: asyncio.AbstractEventLoop
    manager: Manager
    runtime: Any
    store: Store

    def client(self, *, timeout: float = 30, **change: Any) -> Any:
        """Return a proxmoxer client with the automation token, as the provisioner's."""
        token = json.loads((self.folder / "token.json").read_text())
        user, _, name = token["id"].partition("!")
        log_in = {"user": user, "token_name": name, "token_value": token["secret"]} | change
        return ProxmoxAPI(
            "127.0.0.1", port=self.port, verify_ssl=str(self.folder / "ca.pem"), timeout=timeout, **log_in
        )


def serve(folder: Path, runtime: Runtime, *beside: Callable[[web.Application], AsyncIterator[None]]) -> StandIn:
    """Start a stand-in on a free port in a thread, with what runs beside it."""
    store = Store(folder / "cluster.json")
    auth.prepare(store.cluster, folder)
    tls.prepare(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    loop = asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    app = make_app(store, runtime)
    app.cleanup_ctx.extend(beside)
    runner = web.AppRunner(app, shutdown_timeout=1)

    async def begin() -> None:
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=context).start()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(begin(), loop).result(10)

    def stop() -> None:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    return StandIn(folder, listener.getsockname()[1], stop, loop, app[MANAGER], runtime, store)


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


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    running = serve(tmp_path_factory.mktemp("proxmox"), MemoryRuntime())
    yield running
    running.stop()


@pytest.fixture(scope="module")
def api(stand_in: StandIn) -> Any:
    client = stand_in.client()
    make_template(client)
    make_template(client, 9001, "local-lvm")
    return client
