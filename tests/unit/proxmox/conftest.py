"""An inventory to break, and a Proxmox cluster to make guests on: the lab's stand-in, without containers."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from lab.proxmox import auth, tls
from lab.proxmox.layout import Node
from lab.proxmox.runtime import Hardware, Power
from lab.proxmox.server import MANAGER, make_app
from lab.proxmox.state import Store
from proxmox import inventory, reader
from proxmox.desired import Cluster

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"
GUESTS = {
    "pbx01": ("198.18.0.11", "pve1", 101),
    "cti01": ("198.18.0.21", "pve2", 121),
    "web01": ("198.18.0.31", "pve3", 131),
}
SETTINGS = {
    "proxmox_api_host": "127.0.0.1",
    "proxmox_api_port": 8006,
    "proxmox_api_ca": "{{ cluster_secrets }}/ca.pem",
    "proxmox_api_token_id": "automation@pve!centralino",
    "proxmox_api_token_secret": "{{ lookup('ansible.builtin.file', cluster_secrets ~ '/token') }}",
    "proxmox_storage": "shared",
    "proxmox_image_storage": "shared",
    "proxmox_bridge": "vmbr0",
    "proxmox_gateway": "198.18.0.1",
    "proxmox_nameservers": ["198.18.0.1"],
    "proxmox_search_domain": "{{ cluster_domain }}",
    "proxmox_template_vmid": 9000,
    "proxmox_template_node": "pve1",
    "proxmox_template_image_url": "https://cloud.example.com/debian-13.qcow2",
    "proxmox_ssh_user": "ops",
    "proxmox_ssh_private_key": "{{ cluster_secrets }}/ssh/id_ed25519",
    "proxmox_ssh_known_hosts": "{{ cluster_secrets }}/ssh/known_hosts",
}


@dataclass
class Inventory:
    """A valid inventory of three guests, in files that a test may change."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    hosts: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            name: {"ansible_host": address, "proxmox_node": node, "proxmox_vmid": vmid}
            for name, (address, node, vmid) in GUESTS.items()
        }
    )
    whole: dict[str, Any] = field(
        default_factory=lambda: {
            "cluster_name": "test",
            "cluster_domain": "test.example",
            "cluster_timezone": "Europe/Rome",
            "cluster_secrets": "{{ inventory_dir }}/.secrets",
            "cluster_networks": ["198.18.0.0/24"],
            "cluster_management_networks": ["198.18.0.1/32"],
            "cluster_administrators": [],
            "cluster_apt_proxy": "",
            "cluster_apt_check_valid_until": True,
            "cluster_asterisk_repository": "http://198.18.0.2/asterisk/",
            "cluster_asterisk_repository_key": "/nowhere/centralino.asc",
            "cluster_ntp_servers": ["time.test.example"],
            "cluster_never_banned": [],
            "cluster_voice_networks": ["198.18.0.0/24"],
            "cluster_voice_ntp_servers": ["198.18.0.1"],
        }
    )
    """What is said of the cluster as a whole."""
    groups: dict[str, list[str]] = field(
        default_factory=lambda: {"pbx": ["pbx01"], "cti": ["cti01"], "web": ["web01"], "database": ["web01"]}
    )

    @property
    def secrets(self) -> Path:
        return self.folder / ".secrets"

    def write(self) -> str:
        """Write the files and return the inventory's path."""
        for folder in (self.folder / "group_vars/all", self.folder / "host_vars", self.secrets / "ssh"):
            folder.mkdir(parents=True, exist_ok=True)
        children = {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in self.groups.items()}
        self._dump("hosts.yml", {"guests": {"children": children}})
        self._dump("group_vars/all/cluster.yml", self.whole)
        self._dump("group_vars/all/proxmox.yml", self.settings)
        for name, variables in self.hosts.items():
            self._dump(f"host_vars/{name}.yml", variables)
        for name, text in {
            "token": "0123456789",
            "ca.pem": "-",
            "ssh/id_ed25519": "-",
            "ssh/id_ed25519.pub": PUBLIC_KEY,
        }.items():
            if not (self.secrets / name).exists():
                (self.secrets / name).write_text(text)
        return str(self.folder)

    def cluster(self) -> Cluster:
        """Write the files and return the cluster that they want."""
        return reader.read(inventory.load(self.write()))

    def _dump(self, name: str, data: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Give an inventory in ``cluster/`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    return Inventory(tmp_path / "cluster")


class Machines:
    """A runtime whose machines only remember that they run."""

    def __init__(self) -> None:
        self.running: dict[int, bool] = {}

    async def states(self) -> dict[int, Power]:
        return {vmid: Power(running) for vmid, running in self.running.items()}

    async def start(self, hardware: Hardware, *, existing: bool) -> None:
        del existing
        self.running[hardware.vmid] = True

    async def stop(self, vmid: int, *, seconds: int) -> None:
        del seconds
        self.running[vmid] = False

    async def remove(self, vmid: int) -> None:
        self.running.pop(vmid, None)

    async def copy_disk(self, vmid: int) -> str:
        return f"disk-{vmid}"

    async def remove_image(self, image: str) -> None:
        del image

    async def ask_agent(self, vmid: int, command: list[str]) -> str:
        del vmid, command
        return "[]"


@dataclass
class StandIn:
    """A running stand-in."""

    port: int
    folder: Path
    store: Store
    machines: Machines
    requests: list[tuple[str, str]]
    loop: asyncio.AbstractEventLoop
    app: web.Application

    def lose(self, node: str) -> None:
        """Take a node's power away."""
        asyncio.run_coroutine_threadsafe(self.app[MANAGER].lose(node), self.loop).result(10)

    def give_back(self, node: str) -> None:
        """Give it its power back."""
        asyncio.run_coroutine_threadsafe(self.app[MANAGER].give_back(node), self.loop).result(10)

    def written(self) -> list[str]:
        """Return the requests since the last call that were no reads."""
        writes = [f"{method} {path.removeprefix('/api2/json')}" for method, path in self.requests if method != "GET"]
        self.requests.clear()
        return writes


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stand-in's tasks take moments."""
    monkeypatch.setattr("lab.proxmox.tasks.SHORTEST", 0.03)
    monkeypatch.setattr("lab.proxmox.api.clone.COPY_SECONDS", 0.05)


@pytest.fixture
def stand_in(tmp_path: Path, moments: None) -> Iterator[StandIn]:
    """Start the lab's stand-in on a port of its own."""
    del moments
    with standing(tmp_path / "state") as one:
        yield one


@contextmanager
def standing(folder: Path, nodes: Mapping[str, Node] | None = None) -> Iterator[StandIn]:
    """Run a stand-in; with nodes of its own, it is reached at each one's address, on the same port."""
    folder.mkdir()
    store, machines, requests = Store(folder / "cluster.json", nodes), Machines(), list[tuple[str, str]]()
    auth.prepare(store.cluster, folder)
    tls.prepare(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    loop = asyncio.new_event_loop()

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        requests.append((request.method, request.path))
        answer: web.StreamResponse = await handler(request)
        return answer

    app = make_app(store, machines)
    app.middlewares.append(note)

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

    runner, port = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield StandIn(port, folder, store, machines, requests, loop, app)
    asyncio.run_coroutine_threadsafe(end(runner), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def at_stand_in(files: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Give the inventory, with the stand-in as its Proxmox cluster, and nobody at the guests' addresses."""
    monkeypatch.setattr("proxmox.reach.strangers", lambda _: [])
    point_at(files, stand_in)
    return files


def point_at(files: Inventory, stand_in: StandIn) -> None:
    """Make a stand-in the inventory's Proxmox cluster."""
    token = json.loads((stand_in.folder / "token.json").read_text())
    files.settings |= {"proxmox_api_port": stand_in.port, "proxmox_api_token_id": token["id"]}
    files.secrets.mkdir(parents=True)
    (files.secrets / "token").write_text(token["secret"])
    (files.secrets / "ca.pem").write_text((stand_in.folder / "ca.pem").read_text())
