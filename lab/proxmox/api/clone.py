"""Cloning: full copies, and linked clones of templates."""

import asyncio
import time

from lab.proxmox import config, disks, layout, rights
from lab.proxmox.api.backups import disk_content
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.state import Config, Guest, Task

COPY_SECONDS = 0.5
LINK_SECONDS = 0.1
"""How long a storage is locked by a full copy, and by a linked one."""


@method("POST", "/nodes/{node}/qemu/{vmid}/clone")
async def clone(call: Call) -> str:
    """Copy a guest. A template gives a linked clone unless ``full`` is set; a used VM ID fails late, in the task."""
    source = call.guest()
    config.check_lock(source)
    full = call.flag("full", default=not source.is_template)
    target = call.store.node(call.text("target", source.node)).name
    for storage in [call.text("storage")] if call.text("storage") else disks.storages(source.config):
        rights.demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")
    rights.check_bridges(call, source.config)
    _check(call, source, target, full=full)
    new_id = int(call.text("newid"))

    async def work(task: Task) -> None:
        if new_id in call.cluster.guests:
            file = f"/etc/pve/nodes/{target}/qemu-server/{new_id}.conf"
            raise TaskError(f"clone failed: unable to create VM {new_id}: open '{file}' failed: File exists")
        guest = Guest(new_id, target, _copied(source.config), time.time())
        guest.config["name"] = call.text("name") or f"Copy-of-VM-{source.name}"
        if "description" in call.parameters:
            guest.config["description"] = call.text("description")
        call.cluster.guests[new_id] = guest
        call.store.save()
        try:
            async with call.tasks.locked(call.text("storage") or disks.storages(source.config)[0]):
                image = await disk_content(call, source)
                await asyncio.sleep(COPY_SECONDS if full else LINK_SECONDS)
                disks.clone(call.cluster, source, guest, image, storage=call.text("storage"), linked=not full)
        except BaseException:
            for volume in disks.of_guest(call.cluster, guest):
                disks.remove_volume(call.cluster, target, volume.volid)
            del call.cluster.guests[new_id]
            raise
        guest.config.pop("lock")
        task.log.append(f"create {'full' if full else 'linked'} clone of VM {source.vmid}: VM {new_id}")

    return call.start_task("qmclone", source.vmid, work)


def _check(call: Call, source: Guest, target: str, *, full: bool) -> None:
    storage = call.text("storage")
    if not full and not source.is_template:
        drive = config.boot_disk(source.config) or "none"
        raise ApiError(500, f"Linked clone feature is not supported for drive '{drive}'")
    if not full and storage:
        raise ParameterError({"storage": "parameter 'storage' not allowed for linked clones"})
    if storage and "images" not in layout.storage(storage).content:
        raise ApiError(500, f"storage '{storage}' does not support vm images")
    if target == source.node:
        return
    if disks.is_local(source):
        raise ApiError(500, f"can't clone VM to node '{target}' (VM uses local storage)")
    if storage and not layout.storage(storage).shared:
        raise ApiError(500, f"can't clone to non-shared storage '{storage}'")


def _copied(source: Config) -> Config:
    """Return what a clone takes over; its network cards get MAC addresses of their own."""
    copied: Config = {"lock": "clone"}
    for key, value in source.items():
        if key.startswith("net") and key[3:].isdigit():
            model, *rest = str(value).split(",")
            copied[key] = config.with_mac(",".join([model.partition("=")[0], *rest]))
        elif key not in ("template", "lock", "protection", "name"):
            copied[key] = value
    return copied
