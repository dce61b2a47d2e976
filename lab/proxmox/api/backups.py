"""Backups: vzdump, restore from its archives, and what a guest's disk holds."""

import asyncio
import re
import time

from lab.proxmox import config, disks, layout, rights
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.state import Guest, Task, Volume

BACKUP_SECONDS = 0.5
"""How long a backup or a restore takes."""


@method("POST", "/nodes/{node}/vzdump")
async def vzdump(call: Call) -> str:
    """Back one guest up; on a node that does not hold it nothing is done, and the answer is "OK"."""
    node, storage = call.node, layout.storage(call.text("storage", "local"))
    vmid = int(call.text("vmid", "0"))
    rights.demand(call, f"/vms/{vmid}", "VM.Backup")
    rights.demand(call, f"/storage/{storage.name}", "Datastore.AllocateSpace")
    guest = call.cluster.guests.get(vmid)
    if guest is None or guest.node != node:
        return "OK"
    if "backup" not in storage.content:
        raise ApiError(500, f"could not get storage information for '{storage.name}': can't use it for backups")
    protected, notes = call.flag("protected"), call.text("notes-template")

    async def work(task: Task) -> None:
        config.check_lock(guest)
        guest.config["lock"] = "backup"
        try:
            image = await disk_content(call, guest)
            await asyncio.sleep(BACKUP_SECONDS)
        finally:
            kept = {key: value for key, value in guest.config.items() if key != "lock"}
            guest.config.pop("lock", None)
        stamp = time.strftime("%Y_%m_%d-%H_%M_%S")
        volid = f"{storage.name}:backup/vzdump-qemu-{vmid}-{stamp}.vma.zst"
        place = "" if storage.shared else node
        size = next((one.size for one in disks.of_guest(call.cluster, guest) if one.image), 0) // 4
        call.cluster.volumes[storage.volume_key(node, volid)] = Volume(
            volid, place, size, "backup", "vma.zst", time.time(), vmid, image, notes=notes, config=kept,
            protected=protected,
        )  # fmt: skip
        task.log.append(f"INFO: creating vzdump archive '{volid}'")

    return call.start_task("vzdump", vmid, work)


def restore(call: Call, vmid: int) -> str:
    """Make a guest from a backup. Cards keep their addresses unless ``unique`` is set."""
    archive, node = call.text("archive"), call.node
    rights.demand(call, f"/storage/{archive.partition(':')[0]}", "Datastore.AllocateSpace", "Datastore.Audit")
    if storage := call.text("storage"):
        rights.demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")
    try:
        backup = disks.find(call.cluster, node, archive)
    except TaskError as error:
        raise ApiError(500, str(error)) from error
    rights.check_bridges(call, backup.config)
    unique, start = call.flag("unique"), call.flag("start")
    own = config.split(call.parameters)
    name = call.text("name")
    guest = Guest(vmid, node, {**backup.config, "lock": "create"}, time.time())
    call.cluster.guests[vmid] = guest

    async def work(task: Task) -> None:
        from lab.proxmox.api.power import boot  # noqa: PLC0415 (power starts what is restored, and reads its disks)

        source = Guest(backup.vmid, backup.node, dict(backup.config), 0.0)
        try:
            await asyncio.sleep(BACKUP_SECONDS)
            _unpack(call, source, guest, backup, storage)
        except TaskError as error:
            del call.cluster.guests[vmid]
            raise TaskError(f"unable to restore VM {vmid} - {error}") from error
        guest.config |= own | ({"name": name} if name else {})
        for key in [key for key in guest.config if unique and re.fullmatch(r"net\d+", key)]:
            model, *rest = str(guest.config[key]).split(",")
            guest.config[key] = config.with_mac(",".join([model.partition("=")[0], *rest]))
        guest.config.pop("lock", None)
        task.log.append(f"restored {archive}")
        if start:
            await boot(call, guest, task)

    return call.start_task("qmrestore", vmid, work)


def _unpack(call: Call, source: Guest, guest: Guest, backup: Volume, storage: str) -> None:
    """Give the guest disks of its own with the backup's content."""
    for key, value in source.config.items():
        volid, *options = str(value).split(",")
        if not config.DRIVES.fullmatch(key) or ":" not in volid:
            continue
        place = storage or volid.partition(":")[0]
        content = backup.image if key == config.boot_disk(source.config) else ""
        size = next((part.removeprefix("size=") for part in options if part.startswith("size=")), "4M")
        made = disks.add_restored(call.cluster, guest, place, size, content, cloudinit=volid.endswith("-cloudinit"))
        guest.config[key] = ",".join([made.volid, *options])


async def disk_content(call: Call, guest: Guest) -> str:
    """Return an image with the content of a guest's boot disk."""
    if guest.has_container:
        return await call.runtime.copy_disk(guest.vmid)
    volume = disks.boot_volume(call.cluster, guest)
    return volume.image if volume else ""
