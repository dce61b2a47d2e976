"""Cloning: full copies, and linked clones of templates."""

import asyncio
import time

from lab.proxmox import config, disks, layout
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.guests import disk_content
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.state import Guest, Task

COPY_SECONDS = 0.5
"""How long a storage is locked by a full copy."""


@method("POST", "/nodes/{node}/qemu/{vmid}/clone")
async def clone(call: Call) -> str:
    """Copy a guest. A template gives a linked clone unless ``full`` is set; a used VM ID fails late, in the task."""
    source = call.guest()
    config.check_lock(source)
    full = call.flag("full", default=not source.is_template)
    target_node = layout.node(call.text("target", source.node)).name
    storage = call.text("storage")
    if not full and not source.is_template:
        raise ApiError(
            500, f"Linked clone feature is not supported for drive '{config.boot_disk(source.config) or 'none'}'"
        )
    if not full and storage:
        raise ParameterError({"storage": "parameter 'storage' not allowed for linked clones"})
    if storage and "images" not in layout.storage(storage).content:
        raise ApiError(500, f"storage '{storage}' does not support vm images")
    if target_node != source.node and disks.is_local(source):
        raise ApiError(500, f"can't clone VM to node '{target_node}' (VM uses local storage)")
    new_id = int(call.text("newid"))

    async def work(task: Task) -> None:
        if new_id in call.cluster.guests:
            file = f"/etc/pve/nodes/{target_node}/qemu-server/{new_id}.conf"
            raise TaskError(f"clone failed: unable to create VM {new_id}: open '{file}' failed: File exists")
        copied = {
            key: value for key, value in source.config.items() if key not in ("template", "lock", "protection", "name")
        }
        guest = Guest(new_id, target_node, {**copied, "lock": "clone"}, time.time())
        guest.config["name"] = call.text("name") or f"Copy-of-VM-{source.name}"
        for key, value in source.config.items():
            if key.startswith("net") and key[3:].isdigit():
                model, _, rest = str(value).partition(",")
                guest.config[key] = config.with_mac(",".join(filter(None, [model.partition("=")[0], rest])))
        if "description" in call.parameters:
            guest.config["description"] = call.text("description")
        call.cluster.guests[new_id] = guest
        call.store.save()
        try:
            place = storage or _storage_of(source)
            async with call.tasks.locked(place):
                image = await disk_content(call, source)
                await asyncio.sleep(COPY_SECONDS if full else 0.1)
                disks.clone(call.cluster, source, guest, place if full else "", image)
        except BaseException:
            for volume in disks.of_guest(call.cluster, guest):
                disks.remove_volume(call.cluster, target_node, volume.volid)
            del call.cluster.guests[new_id]
            raise
        guest.config.pop("lock")
        task.log.append(f"create {'full' if full else 'linked'} clone of VM {source.vmid}: VM {new_id}")

    return call.start_task("qmclone", source.vmid, work)


def _storage_of(guest: Guest) -> str:
    boot = config.boot_disk(guest.config)
    return str(guest.config[boot]).partition(":")[0] if boot else "local-lvm"
