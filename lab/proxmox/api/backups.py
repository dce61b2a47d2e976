"""Backups: vzdump, restore from its archives, and what a guest's disk holds."""

import asyncio
import re
import time

from lab.proxmox import config, crm, disks, layout, prune, rights
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.state import Guest, Task, Volume

BACKUP_SECONDS = 0.5
"""How long a backup or a restore takes."""


@method("POST", "/nodes/{node}/vzdump")
async def vzdump(call: Call) -> str:
    """Back guests of a node up; where it holds none of them nothing is done, and the answer is "OK"."""
    return back_up(call)


def back_up(call: Call) -> str:
    """Start the backup of those of the named guests that the node holds, or of all of them, one after the other."""
    node, storage = call.node, layout.storage(call.text("storage", "local"))
    named = numbers(call.text("vmid"))
    for vmid in named:
        rights.demand(call, f"/vms/{vmid}", "VM.Backup")
    rights.demand(call, f"/storage/{storage.name}", "Datastore.AllocateSpace")
    if "prune-backups" in call.parameters:
        rights.demand(call, f"/storage/{storage.name}", "Datastore.Allocate")
    left_out = numbers(call.text("exclude")) if call.flag("all") else set[int]()
    here = [guest for guest in call.cluster.guests.values() if guest.node == node]
    chosen = [guest for guest in here if (call.flag("all") or guest.vmid in named) and guest.vmid not in left_out]
    if not chosen:
        return "OK"
    if "backup" not in storage.content:
        raise ApiError(500, f"could not get storage information for '{storage.name}': can't use it for backups")

    async def work(task: Task) -> None:
        faults = []
        for guest in chosen:
            try:
                await _dump(call, guest, storage, task)
                await _prune(call, guest, storage, task)
            except TaskError as error:
                task.log.append(f"ERROR: Backup of VM {guest.vmid} failed - {error}")
                faults.append(error)
        if faults:
            raise faults[0] if len(chosen) == 1 else TaskError("job errors")

    return call.start_task("vzdump", chosen[0].vmid if len(chosen) == 1 else "", work)


def numbers(text: str) -> set[int]:
    """Return the VM IDs of a list."""
    return {int(part) for part in re.split(r"[,;\s]+", text) if part}


async def _dump(call: Call, guest: Guest, storage: layout.Storage, task: Task) -> None:
    config.check_lock(guest)
    kept = dict(guest.config)
    guest.config["lock"] = "backup"
    try:
        image = await disk_content(call, guest)
        await asyncio.sleep(BACKUP_SECONDS)
    finally:
        if crm.online(call.store, call.node):  # who died with the node takes no lock away
            guest.config.pop("lock", None)
    if not crm.online(call.store, call.node):
        raise TaskError("unexpected status")
    stamp = time.strftime("%Y_%m_%d-%H_%M_%S")
    volid = f"{storage.name}:backup/vzdump-qemu-{guest.vmid}-{stamp}.vma.zst"
    place = "" if storage.shared else call.node
    size = next((one.size for one in disks.of_guest(call.cluster, guest) if one.image), 0) // 4
    call.cluster.volumes[storage.volume_key(call.node, volid)] = Volume(
        volid, place, size, "backup", "vma.zst", time.time(), guest.vmid, image, notes=_notes(call, guest),
        config=kept, protected=call.flag("protected"),
    )  # fmt: skip
    task.log.append(f"INFO: creating vzdump archive '{volid}'")


def _notes(call: Call, guest: Guest) -> str:
    """Return an archive's notes; of what a template may name, the guest and its node (vzdump(1))."""
    text = call.text("notes-template")
    for name, value in {"guestname": guest.name, "vmid": guest.vmid, "node": guest.node}.items():
        text = text.replace(f"{{{{{name}}}}}", str(value))
    return text


async def _prune(call: Call, guest: Guest, storage: layout.Storage, task: Task) -> None:
    """Remove the guest's backups that are to be kept no longer, by the request's word or by the storage's own.

    Unless ``remove`` is 0, which is 1 where nothing is said (vzdump(1)).
    """
    keep = {key: int(count) for key, _, count in _parts(call.text("prune-backups", storage.prune_backups))}
    if not call.flag("remove", default=True):
        return
    made = {
        volume.volid: volume.created
        for volume in call.cluster.volumes.values()
        if (volume.content, volume.storage, volume.vmid) == ("backup", storage.name, guest.vmid)
        and volume.node in ("", call.node)
        and not volume.protected
    }
    for volid in prune.surplus(made, keep):
        image = disks.find(call.cluster, call.node, volid).image
        disks.remove_volume(call.cluster, call.node, volid)
        await disks.drop_image(call.cluster, call.runtime, image)
        task.log.append(f"INFO: removing backup '{volid}'")


def _parts(text: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in text.split(",") if part]


def restore(call: Call, vmid: int) -> str:
    """Make a guest from a backup. Cards keep their addresses unless ``unique`` is set."""
    archive, node = call.text("archive"), call.node
    if storage := call.text("storage"):
        rights.demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")
    try:
        backup = disks.find(call.cluster, node, archive)
    except TaskError as error:
        raise ApiError(500, str(error)) from error
    if not call.may("Datastore.Allocate", f"/storage/{backup.storage}"):
        rights.demand(call, f"/storage/{backup.storage}", "Datastore.AllocateSpace")
        rights.demand(call, f"/vms/{backup.vmid}", "VM.Backup")
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
