"""Snapshots of a guest's configuration and disk."""

import time
from typing import Any

from lab.proxmox import config
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.state import Guest, Task


@method("GET", "/nodes/{node}/qemu/{vmid}/snapshot")
async def snapshots(call: Call) -> list[dict[str, Any]]:
    """List a guest's snapshots, and where it is now."""
    guest = call.guest()
    found = [
        {"name": name, "snaptime": int(taken["snaptime"]), "description": taken.get("description", ""), "vmstate": 0}
        for name, taken in guest.snapshots.items()
    ]
    now = {"name": "current", "description": "You are here!", "running": int(await call.is_running(guest.vmid))}
    return [*found, {**now, **({"parent": found[-1]["name"]} if found else {})}]


@method("POST", "/nodes/{node}/qemu/{vmid}/snapshot")
async def take(call: Call) -> str:
    """Take a snapshot."""
    guest, name, description = call.guest(), call.text("snapname"), call.text("description")

    async def work(task: Task) -> None:
        config.check_lock(guest)
        if name in guest.snapshots or name == "current":
            raise TaskError(f"snapshot name '{name}' already used")
        guest.snapshots[name] = {**guest.config, "snaptime": time.time(), "description": description}
        task.log.append(f"snapshot {name} taken")

    return call.start_task("qmsnapshot", guest.vmid, work)


@method("DELETE", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}")
async def remove(call: Call) -> str:
    """Remove a snapshot."""
    guest, name = call.guest(), call.text("snapname")

    async def work(task: Task) -> None:
        _find(guest, name)
        del guest.snapshots[name]
        task.log.append(f"snapshot {name} removed")

    return call.start_task("qmdelsnapshot", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback")
async def roll_back(call: Call) -> str:
    """Give a guest the configuration that it had; the lab's containers keep their disk."""
    guest, name = call.guest(), call.text("snapname")

    async def work(task: Task) -> None:
        _find(guest, name)
        kept = {key: value for key, value in guest.snapshots[name].items() if key not in ("snaptime", "description")}
        guest.config = kept
        task.log.append(f"rolled back to {name}")

    return call.start_task("qmrollback", guest.vmid, work)


def _find(guest: Guest, name: str) -> None:
    if name not in guest.snapshots:
        raise ApiError(500, f"snapshot '{name}' does not exist")
