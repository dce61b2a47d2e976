"""Power and the guest agent."""

import json
import re
from typing import Any
from urllib.parse import unquote

from lab.errors import LabError
from lab.proxmox import config, crm, disks
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.status import summary
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.runtime import Hardware
from lab.proxmox.state import Cluster, Guest, Task
from lab.seed import Seed

SHUTDOWN_SECONDS = 60


@method("GET", "/nodes/{node}/qemu/{vmid}/status/current")
async def current(call: Call) -> dict[str, Any]:
    """Tell a guest's state; the runtime is asked, so a crash shows."""
    guest, states = call.guest(), await call.runtime.states()
    line = summary(call.cluster, guest, states)
    line["cpus"] = line.pop("maxcpu")
    line.pop("hastate", None)
    managed = call.cluster.ha.get(f"vm:{guest.vmid}")
    answer = {**line, "qmpstatus": line["status"], "ha": {"managed": int(managed is not None), **(managed or {})}}
    return answer | ({"agent": 1} if agent_enabled(guest) else {})


@method("POST", "/nodes/{node}/qemu/{vmid}/status/start")
async def start(call: Call) -> str:
    """Start a guest; of one that HA manages, HA is only asked to, and the task is OK at once."""
    guest = call.guest()
    if guest.is_template:
        raise ApiError(500, "you can't start a vm if it's a template")

    async def ask(task: Task) -> None:
        task.log.append(f"Requesting HA start for VM {guest.vmid}")
        if not await call.is_running(guest.vmid):
            call.manager.ask_to_start(guest)

    if crm.manages(call.store, guest.vmid):
        return call.start_task("hastart", guest.vmid, ask)

    async def work(task: Task) -> None:
        config.check_lock(guest)
        if await call.is_running(guest.vmid):
            raise TaskError(f"VM {guest.vmid} already running")
        await boot(call, guest, task)

    return call.start_task("qmstart", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/status/stop")
async def stop(call: Call) -> str:
    """Pull a guest's plug."""
    guest = call.guest()

    async def work(task: Task) -> None:
        await _halt(call, guest, task, seconds=0)

    return call.start_task("qmstop", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/status/shutdown")
async def shutdown(call: Call) -> str:
    """Shut a guest down; ``forceStop`` pulls the plug after the time."""
    guest = call.guest()
    seconds, force = int(call.text("timeout", str(SHUTDOWN_SECONDS))), call.flag("forceStop")

    async def work(task: Task) -> None:
        try:
            await _halt(call, guest, task, seconds=max(1, seconds))
        except TaskError:
            if not force:
                raise
            await _halt(call, guest, task, seconds=0)

    return call.start_task("qmshutdown", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/status/reboot")
async def reboot(call: Call) -> str:
    """Shut a guest down and start it again, with its pending changes."""
    guest = call.guest()
    seconds = int(call.text("timeout", str(SHUTDOWN_SECONDS)))
    if not await call.is_running(guest.vmid):
        raise ApiError(500, f"VM {guest.vmid} not running")

    async def work(task: Task) -> None:
        await _halt(call, guest, task, seconds=max(1, seconds))
        await boot(call, guest, task)

    return call.start_task("qmreboot", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/status/reset")
async def reset(call: Call) -> str:
    """Press a guest's reset button."""
    guest = call.guest()
    if not await call.is_running(guest.vmid):
        raise ApiError(500, f"VM {guest.vmid} not running")

    async def work(task: Task) -> None:
        await _halt(call, guest, task, seconds=0)
        await boot(call, guest, task)

    return call.start_task("qmreset", guest.vmid, work)


async def boot(call: Call, guest: Guest, task: Task) -> None:
    """Start a guest's machine with the cloud-init values of its configuration."""
    config.apply_pending(guest)
    await call.runtime.start(hardware_of(call.cluster, guest), existing=guest.has_container)
    guest.has_container = True
    task.log.append(f"VM {guest.vmid}: started")


def hardware_of(cluster: Cluster, guest: Guest) -> Hardware:
    """Return what a guest's machine is started with."""
    volume = disks.boot_volume(cluster, guest)
    cards = [str(value) for key, value in guest.config.items() if re.fullmatch(r"net\d+", key)]
    return Hardware(
        vmid=guest.vmid,
        image=volume.image if volume else "",
        address=config.address_of(guest.config),
        mac=config.mac_of(str(guest.config.get("net0", ""))),
        cores=config.cores_of(guest.config),
        memory=config.memory_of(guest.config),
        seed=seed_of(guest),
        connected=not cards or any("link_down=1" not in card.split(",") for card in cards),
    )


def seed_of(guest: Guest) -> Seed:
    """Return what cloud-init would read: name, user, keys, name servers (qm(1), Cloud-Init)."""
    values = guest.config
    keys = [line.strip() for line in unquote(str(values.get("sshkeys", ""))).splitlines()]
    return Seed(
        hostname=guest.name.replace(" ", "-").partition(".")[0],
        user=str(values.get("ciuser", "debian")),
        keys=[key for key in keys if key],
        nameservers=str(values.get("nameserver", "")).replace(",", " ").split(),
        search=str(values.get("searchdomain", "")).replace(",", " ").split(),
    )


async def _halt(call: Call, guest: Guest, task: Task, *, seconds: int) -> None:
    config.check_lock(guest)
    if await call.is_running(guest.vmid):
        await call.runtime.stop(guest.vmid, seconds=seconds)
    task.log.append(f"VM {guest.vmid}: stopped")


# --- guest agent -----------------------------------------------------------------------------------------------------


def agent_enabled(guest: Guest) -> bool:
    """Tell whether the configuration switches the guest agent on."""
    return str(guest.config.get("agent", "0")).partition(",")[0].removeprefix("enabled=") == "1"


@method("POST", "/nodes/{node}/qemu/{vmid}/agent/ping")
async def agent_ping(call: Call) -> dict[str, Any]:
    """Tell whether the guest's agent answers: its first boot step is through."""
    await _ask(call, ["systemctl", "is-active", "--quiet", "lab-first-boot.service"])
    return {"result": {}}


@method("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces")
async def agent_interfaces(call: Call) -> dict[str, Any]:
    """List the guest's own view of its network."""
    links = json.loads(await _ask(call, ["ip", "-json", "address"]))
    return {"result": [_interface(link) for link in links]}


@method("GET", "/nodes/{node}/qemu/{vmid}/agent/get-host-name")
async def agent_host_name(call: Call) -> dict[str, Any]:
    """Tell the guest's host name."""
    return {"result": {"host-name": (await _ask(call, ["hostname"])).strip()}}


@method("GET", "/nodes/{node}/qemu/{vmid}/agent/get-osinfo")
async def agent_os(call: Call) -> dict[str, Any]:
    """Tell the guest's system."""
    lines = (await _ask(call, ["cat", "/etc/os-release"])).splitlines()
    facts = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    names = {"id": "ID", "name": "NAME", "pretty-name": "PRETTY_NAME", "version": "VERSION", "version-id": "VERSION_ID"}
    return {"result": {key: facts.get(name, "") for key, name in names.items()}}


async def _ask(call: Call, command: list[str]) -> str:
    guest = call.guest()
    if not agent_enabled(guest):
        raise ApiError(500, "No QEMU guest agent configured")
    if not await call.is_running(guest.vmid):
        raise ApiError(500, f"VM {guest.vmid} is not running")
    try:
        return await call.runtime.ask_agent(guest.vmid, command)
    except LabError as error:
        raise ApiError(500, "QEMU guest agent is not running") from error


def _interface(link: dict[str, Any]) -> dict[str, Any]:
    addresses = [
        {
            "ip-address": item["local"],
            "ip-address-type": "ipv4" if item["family"] == "inet" else "ipv6",
            "prefix": item["prefixlen"],
        }
        for item in link.get("addr_info", [])
    ]
    return {
        "name": link["ifname"],
        "hardware-address": link.get("address", "00:00:00:00:00:00"),
        "ip-addresses": addresses,
    }
