"""Migration to another cluster: the end that sends, and the tunnel at the end that takes.

As on a node: the guest comes to the node whose own address the endpoint names, under the rights of the endpoint's
token; what HA manages or a job replicates is refused, ``ignored`` by HA is not managed (ha-manager(1)); without
``delete`` the original stays, stopped and locked for good. Between nodes a web socket carries the guest, which no
client of the API sees; here it is a request of the lab's own (``/lab/tunnels``). Machines are not carried: each end
tells its own runtime, so that two stand-ins must not share one.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from lab.proxmox import config, disks, layout, rights, schema, tls
from lab.proxmox.api import migrate
from lab.proxmox.api.backups import disk_content
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.power import boot
from lab.proxmox.config import DRIVES
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.formats import NAMED
from lab.proxmox.schema import Value
from lab.proxmox.state import Guest, Store, Task

CONNECT_SECONDS = 10.0


@method("GET", "/nodes/{node}/certificates/info")
async def certificates(call: Call) -> list[dict[str, Any]]:
    """List a host's certificates; here all hosts have the same."""
    return [{"filename": "pve-ssl.pem", "fingerprint": tls.fingerprint(call.store.folder)}]


# --- the end that sends ----------------------------------------------------------------------------------------------


@method("POST", "/nodes/{node}/qemu/{vmid}/remote_migrate")
async def remote_migrate(call: Call) -> str:
    """Bring a guest to a node of another cluster."""
    guest = call.guest()
    config.check_lock(guest)
    if str(call.cluster.ha.get(f"vm:{guest.vmid}", {}).get("state", "ignored")) != "ignored":
        raise ParameterError({"vmid": "cannot migrate HA-managed VM to remote cluster"})
    named = NAMED["proxmox-remote"]
    remote = schema.parse_properties(named, call.text("target-endpoint")) if isinstance(named, dict) else {}
    if any(job["guest"] == guest.vmid for job in call.cluster.replication.values()):
        raise ApiError(500, "cannot remote-migrate replicated VM")
    running = await call.is_running(guest.vmid)
    if running and not call.flag("online"):
        raise ApiError(500, "can't migrate running VM without --online")
    if call.text("target-storage") == "1":
        raise ApiError(500, "remote migration requires explicit storage mapping!")

    async def work(task: Task) -> None:
        config.check_lock(guest)
        guest.config["lock"] = "migrate"
        try:
            await _send(call, guest, remote, running=running)
        except BaseException:
            guest.config.pop("lock", None)
            raise
        await call.runtime.stop(guest.vmid, seconds=0)
        if call.flag("delete"):
            for volume in disks.of_guest(call.cluster, guest):
                disks.remove_volume(call.cluster, guest.node, volume.volid)
            del call.cluster.guests[guest.vmid]  # and no word to HA
            await call.runtime.remove(guest.vmid)
        call.store.save()
        task.log.append("migration finished successfully")

    return call.start_task("qmigrate", guest.vmid, work)


async def _send(call: Call, guest: Guest, remote: Mapping[str, Value], *, running: bool) -> None:
    vmid, bridge = int(call.text("target-vmid", str(guest.vmid))), call.text("target-bridge")
    base = f"https://{remote['host']}:{remote.get('port', 8006)}"
    digest = bytes.fromhex(str(remote.get("fingerprint", "")).replace(":", ""))
    trust = aiohttp.Fingerprint(digest) if digest else True
    timeout = aiohttp.ClientTimeout(connect=CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(
        base, timeout=timeout, connector=connector, headers={"Authorization": str(remote["apitoken"])}
    ) as client:
        wanted = {"storages": call.text("target-storage"), "bridges": bridge}
        opened = await _ask(client, f"/api2/json/nodes/localhost/qemu/{vmid}/mtunnel", data=wanted)
        tunnel = f"/lab/tunnels/{opened['ticket']}"
        try:
            await asyncio.sleep(migrate.MIGRATION_SECONDS)
            await _ask(client, f"{tunnel}/arrive", json=await _packed(call, guest, bridge, running=running))
        except TaskError:
            await _ask(client, f"{tunnel}/quit", json={})
            raise


async def _packed(call: Call, guest: Guest, bridge: str, *, running: bool) -> dict[str, Any]:
    """Return what goes over: the configuration without what waits for a restart, and the disks."""
    image, drives, settings = await disk_content(call, guest), dict[str, Any](), dict[str, Any]()
    for key, value in guest.config.items():
        if DRIVES.fullmatch(key):
            volid, *options = str(value).split(",")
            size = disks.find(call.cluster, guest.node, volid).size
            content = image if key == config.boot_disk(guest.config) else ""
            drives[key] = {"size": size, "options": options, "image": content, "cdrom": config.is_cdrom(str(value))}
        elif key.startswith("net") and key[3:].isdigit():
            parts = [f"bridge={bridge}" if part.startswith("bridge=") else part for part in str(value).split(",")]
            settings[key] = ",".join(parts)
        elif key != "lock":
            settings[key] = value
    return {"config": settings, "drives": drives, "storage": call.text("target-storage"), "running": running}


async def _ask(client: aiohttp.ClientSession, path: str, **body: Any) -> Any:  # noqa: ANN401 (any JSON)
    try:
        async with client.post(path, **body) as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise TaskError(f"migration aborted: remote: {answer.status} {answer.reason}")
            return (await answer.json())["data"]
    except aiohttp.ServerFingerprintMismatch:
        raise TaskError("migration aborted: fingerprint of the remote's certificate does not match") from None
    except aiohttp.ClientError as error:
        raise TaskError(f"migration aborted: can't connect to the remote: {error}") from None


# --- the end that takes ----------------------------------------------------------------------------------------------


@dataclass
class Tunnel:
    """A guest on its way in: who opened it, and the locked machine that it becomes."""

    call: Call
    guest: Guest
    task: Task
    over: asyncio.Event = field(default_factory=asyncio.Event)
    fault: str = ""


@method("POST", "/nodes/{node}/qemu/{vmid}/mtunnel")
async def mtunnel(call: Call) -> dict[str, Any]:
    """Make an empty, locked machine that a guest of another cluster may become."""
    if call.vmid in call.cluster.guests:
        node = call.cluster.guests[call.vmid].node
        raise ApiError(500, f"unable to create VM {call.vmid} - VM {call.vmid} already exists on node '{node}'")
    for name in call.text("storages").split(","):
        rights.demand(call, f"/storage/{name}", "Datastore.AllocateSpace")
        if "images" not in layout.storage(name).content:
            raise ApiError(500, f"storage '{name}' does not support vm images")
    for name in call.text("bridges").split(","):
        if name != "vmbr0":
            raise ApiError(500, f"bridge '{name}' does not exist")
        rights.check_bridges(call, {"net0": f"virtio,bridge={name}"})
    guest = Guest(call.vmid, call.node, {"lock": "create"}, 0.0)
    call.cluster.guests[guest.vmid] = guest
    call.store.save()
    ticket = secrets.token_hex(16)

    async def work(_: Task) -> None:
        tunnel = call.store.tunnels[ticket]
        await tunnel.over.wait()
        if tunnel.fault:
            raise TaskError(tunnel.fault)

    upid = call.start_task("qmtunnel", guest.vmid, work)
    call.store.tunnels[ticket] = Tunnel(call, guest, call.tasks.find(call.node, upid))
    return {"ticket": ticket, "socket": f"/run/qemu-server/{guest.vmid}.mtunnel", "upid": upid}


async def speak(store: Store, ticket: str, word: str, said: Mapping[str, Any]) -> None:
    """Take what the other end sends through a tunnel: the guest (``arrive``), or that it is given up (``quit``)."""
    tunnel = store.tunnels.get(ticket)
    if not isinstance(tunnel, Tunnel):
        raise ApiError(401, "no such ticket")
    if word == "arrive":
        await _arrive(tunnel, said)
    else:
        tunnel.fault = "mtunnel exited unexpectedly"
        for volume in disks.of_guest(store.cluster, tunnel.guest):
            disks.remove_volume(store.cluster, tunnel.guest.node, volume.volid)
        store.cluster.guests.pop(tunnel.guest.vmid, None)
    del store.tunnels[ticket]
    store.save()
    tunnel.over.set()


async def _arrive(tunnel: Tunnel, said: Mapping[str, Any]) -> None:
    call, guest, storage = tunnel.call, tunnel.guest, str(said["storage"])
    rights.check_options(call, said["config"], vmid=guest.vmid)
    place = layout.storage(storage)
    wanted = sum(int(drive["size"]) for drive in said["drives"].values())
    if disks.used(call.cluster, place, guest.node) + wanted > place.size:
        raise ApiError(500, f"storage '{storage}': not enough free space")
    for key, drive in said["drives"].items():
        # Cloud-init's drive needs both, unlike a disk (qm(1), cloud-init; PVE::API2::Qemu).
        for privilege in ("VM.Config.Cloudinit", "VM.Config.CDROM") if drive["cdrom"] else ("VM.Config.Disk",):
            rights.demand(call, f"/vms/{guest.vmid}", privilege)
        volume = disks.add_restored(
            call.cluster, guest, storage, str(drive["size"]), str(drive["image"]), cloudinit=drive["cdrom"]
        )
        guest.config[key] = ",".join([volume.volid, *drive["options"]])
    guest.config |= said["config"]
    if said["running"]:
        await boot(call, guest, tunnel.task)
    guest.config.pop("lock")


def local_node(store: Store, address: str) -> str:
    """Return the node that has an address: what ``localhost`` means to a request that came in there."""
    return next((node.name for node in store.nodes.values() if node.address == address), next(iter(store.nodes)))
