"""Migration: by hand, and by the manager of high availability, whose task tells nothing."""

import asyncio
from typing import Any

from lab.proxmox import config, crm, disks
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.state import Guest, Task

MIGRATION_SECONDS = 0.5
"""How long a migration takes; with local disks, twice that."""


@method("GET", "/nodes/{node}/qemu/{vmid}/migrate")
async def preconditions(call: Call) -> dict[str, Any]:
    """Tell what a migration would meet."""
    guest = call.guest()
    local = [volume for volume in disks.of_guest(call.cluster, guest) if volume.node]
    others = [name for name in call.store.nodes if name != guest.node and crm.online(call.store, name)]
    answer: dict[str, Any] = {
        "running": await call.is_running(guest.vmid),
        "local_disks": [{"volid": volume.volid, "size": volume.size, "cdrom": 0, "is_unused": 0} for volume in local],
        "local_resources": [],
        "mapped-resources": [],
        "mapped-resource-info": {},
        "has-dbus-vmstate": 0,
    }
    return answer if answer["running"] else {**answer, "allowed_nodes": others, "not_allowed_nodes": {}}


@method("POST", "/nodes/{node}/qemu/{vmid}/migrate")
async def migrate(call: Call) -> str:
    """Bring a guest to another node; what HA manages is only asked to move, and the task is OK at once."""
    guest, target = call.guest(), call.store.node(call.text("target")).name
    if target == guest.node:
        raise ApiError(400, "Parameter verification failed.", {"target": "target is local node."})
    running = await call.is_running(guest.vmid)
    if running and not call.flag("online"):
        raise ApiError(500, "can't migrate running VM without --online")
    online, local = call.flag("online"), call.flag("with-local-disks")

    async def work(task: Task) -> None:
        await _migrate(call, guest, target, task, online=online, local=local)

    if f"vm:{guest.vmid}" in call.cluster.ha:

        async def ask(task: Task) -> None:
            task.log.append(f"Requesting HA migration for VM {guest.vmid} to node {target}")
            if not crm.allowed(call.store, guest, target):
                return  # the manager ignores the request, and who asked is not told
            # As the manager calls it: local disks are no obstacle to it that it would report.
            call.tasks.start(guest.node, "qmigrate", str(guest.vmid), "root@pam", work)

        return call.start_task("hamigrate", guest.vmid, ask)
    return call.start_task("qmigrate", guest.vmid, work)


@method("POST", "/cluster/bulk-action/guest/migrate")
async def bulk_migrate(call: Call) -> str:
    """Bring many guests to a node; the task is OK whatever became of them, and of those that do not exist."""
    vms = call.parameters.get("vms", [])
    target = call.store.node(call.text("target")).name
    online, local = call.flag("online"), call.flag("with-local-disks")

    async def work(task: Task) -> None:
        for vmid in vms if isinstance(vms, list) else [vms]:
            guest = call.cluster.guests.get(int(vmid))
            if guest is None:
                task.log.append(f"guest {vmid}: not found")
                continue
            try:
                await _migrate(call, guest, target, task, online=online, local=local)
            except TaskError as error:
                task.log.append(f"guest {vmid}: {error}")

    return call.tasks.start(next(iter(call.store.nodes)), "bulkmigrate", "", call.caller.name, work)


async def _migrate(call: Call, guest: Guest, target: str, task: Task, *, online: bool, local: bool) -> None:
    config.check_lock(guest)
    own = disks.is_local(guest)
    if not crm.online(call.store, target):
        raise TaskError(f"migration aborted: can't connect to node '{target}': No route to host")
    if own and online and not local:
        raise TaskError("migration aborted: can't live migrate attached local disks without with-local-disks option")
    guest.config["lock"] = "migrate"
    try:
        await asyncio.sleep(MIGRATION_SECONDS * (2 if own else 1))
        for node in (guest.node, target):
            if not crm.online(call.store, node):
                raise TaskError(f"migration aborted: node '{node}' is gone")
    finally:
        guest.config.pop("lock", None)
    crm.move(call.store, guest, target)
    task.log.append("migration finished successfully")
