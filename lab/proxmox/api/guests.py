"""/nodes/{node}/qemu: guests are made, configured, turned into templates and removed."""

import contextlib
import time
from typing import Any

from lab.proxmox import config, disks, jobs, layout, rights
from lab.proxmox.api.backups import disk_content, restore
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.power import boot
from lab.proxmox.api.status import summary
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.state import Guest, Task


@method("GET", "/nodes/{node}/qemu")
async def list_guests(call: Call) -> list[dict[str, Any]]:
    """List a node's guests."""
    node, states = call.node, await call.runtime.states()
    return [
        {**{key: value for key, value in line.items() if key not in ("maxcpu", "hastate")}, "cpus": line["maxcpu"]}
        for guest in call.cluster.guests.values()
        if guest.node == node
        for line in [summary(call.cluster, guest, states)]
    ]


@method("POST", "/nodes/{node}/qemu")
async def create(call: Call) -> str:
    """Make a guest, with disks that are allocated or imported."""
    node, vmid = call.node, call.vmid
    if existing := call.cluster.guests.get(vmid):
        raise ApiError(500, f"unable to create VM {vmid} - VM {vmid} already exists on node '{existing.node}'")
    wanted = config.split(call.parameters)
    if "pool" in call.parameters and call.text("pool"):
        rights.demand(call, f"/pool/{call.text('pool')}", "VM.Allocate")
    else:
        rights.demand(call, f"/vms/{vmid}", "VM.Allocate")
    if "archive" in call.parameters:
        return restore(call, vmid)
    rights.check_options(call, wanted, vmid=vmid)
    rights.check_drives(call, wanted, vmid=vmid, exists=False)
    rights.check_bridges(call, wanted)
    disks.check_request(wanted)
    guest = Guest(vmid, node, {"lock": "create", **wanted}, time.time())
    call.cluster.guests[vmid] = guest

    async def work(task: Task) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                for storage in disks.storages(wanted):
                    await stack.enter_async_context(call.tasks.locked(storage))
                disks.allocate(call.cluster, node, vmid, guest.config)
        except TaskError as error:
            _forget(call, guest)
            raise TaskError(f"unable to create VM {vmid} - {error}") from error
        guest.config.pop("lock", None)
        task.log.append(f"VM {vmid}: created")
        if call.flag("start"):
            await boot(call, guest, task)

    return call.start_task("qmcreate", vmid, work)


@method("GET", "/nodes/{node}/qemu/{vmid}/config")
async def get_config(call: Call) -> dict[str, Any]:
    """Show a guest's configuration: with pending values, or as it runs now (``current``)."""
    guest = call.guest()
    shown = guest.config if call.flag("current") else config.with_pending(guest)
    return {**shown, "digest": config.digest(guest.config)}


@method("GET", "/nodes/{node}/qemu/{vmid}/pending")
async def get_pending(call: Call) -> list[dict[str, Any]]:
    """Show a guest's configuration, its present and its pending values apart."""
    guest = call.guest()
    entries = []
    for key in sorted({*guest.config, *guest.pending}):
        entry: dict[str, Any] = {"key": key}
        if key in guest.config:
            entry["value"] = guest.config[key]
        if key in guest.pending:
            entry |= {"delete": 1} if guest.pending[key] == "" else {"pending": guest.pending[key]}
        entries.append(entry)
    return entries


@method("PUT", "/nodes/{node}/qemu/{vmid}/config")
async def put_config(call: Call) -> None:
    """Change a guest's configuration at once."""
    guest, running = call.guest(), await call.is_running(call.vmid)
    _change(call, guest, running=running)
    call.store.save()


@method("POST", "/nodes/{node}/qemu/{vmid}/config")
async def post_config(call: Call) -> str:
    """Change a guest's configuration in a task."""
    guest, running = call.guest(), await call.is_running(call.vmid)
    config.check_digest(guest, call.parameters.get("digest"))
    config.check_lock(guest)

    async def work(task: Task) -> None:
        task.log.append(f"update VM {guest.vmid}")
        _change(call, guest, running=running)

    return call.start_task("qmconfig", guest.vmid, work)


def _change(call: Call, guest: Guest, *, running: bool) -> None:
    config.check_digest(guest, call.parameters.get("digest"))
    config.check_lock(guest)
    changes, deleted = config.split(call.parameters), config.to_delete(call.parameters)
    rights.check_options(call, [*changes, *deleted], vmid=guest.vmid)
    rights.check_drives(call, changes, vmid=guest.vmid, exists=True)
    rights.check_bridges(call, changes)
    if not changes and not deleted:
        raise ApiError(400, "Parameter verification failed.", {"": "no options specified"})
    disks.check_request(changes)
    try:
        disks.allocate(call.cluster, guest.node, guest.vmid, changes)
    except TaskError as error:
        raise ApiError(500, str(error)) from error
    removed = [
        str(guest.config[key]).partition(",")[0]
        for key in deleted
        if config.DRIVES.fullmatch(key) and key in guest.config
    ]
    config.update(guest, changes, deleted, running=running)
    if not running:
        for volid in removed:
            disks.remove_volume(call.cluster, guest.node, volid)


@method("PUT", "/nodes/{node}/qemu/{vmid}/resize")
async def resize(call: Call) -> str:
    """Grow a disk."""
    guest = call.guest()
    config.check_digest(guest, call.parameters.get("digest"))
    config.check_lock(guest)
    drive, size = call.text("disk"), call.text("size")
    if drive in guest.config:
        storage = str(guest.config[drive]).partition(":")[0]
        rights.demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")

    async def work(task: Task) -> None:
        disks.grow(call.cluster, guest, drive, size)
        task.log.append(f"{drive}: {guest.config[drive]}")

    return call.start_task("resize", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/template")
async def make_template(call: Call) -> str:
    """Turn a stopped guest into a template."""
    guest = call.guest()
    config.check_lock(guest)
    if guest.is_template:
        raise ApiError(500, "you can't convert a template to a template")
    if await call.is_running(guest.vmid):
        raise ApiError(500, "you can't convert a VM to template if VM is running")

    async def work(task: Task) -> None:
        image = await disk_content(call, guest)
        disks.make_base(call.cluster, guest, image)
        if guest.has_container:
            await call.runtime.remove(guest.vmid)
            guest.has_container = False
        guest.config["template"] = 1
        task.log.append(f"VM {guest.vmid} is a template")

    return call.start_task("qmtemplate", guest.vmid, work)


@method("DELETE", "/nodes/{node}/qemu/{vmid}")
async def destroy(call: Call) -> str:
    """Remove a stopped guest with its disks."""
    guest = call.guest()
    if not call.flag("skiplock"):
        config.check_lock(guest)
    if guest.config.get("protection"):
        raise ApiError(500, f"can't remove VM {guest.vmid} - protection mode enabled")
    if await call.is_running(guest.vmid):
        raise ApiError(500, f"VM {guest.vmid} is running - destroy failed")
    sid = f"vm:{guest.vmid}"
    if sid in call.cluster.ha and not call.flag("purge"):
        raise ApiError(500, f"unable to remove VM {guest.vmid} - used in HA resources and purge parameter not set.")

    async def work(task: Task) -> None:
        if clones := disks.children(call.cluster, guest):
            raise TaskError(f"base volume '{clones[0].parent}' is still in use by linked cloned")
        if guest.has_container:
            await call.runtime.remove(guest.vmid)
        for image in _forget(call, guest):
            await disks.drop_image(call.cluster, call.runtime, image)
        call.cluster.ha.pop(sid, None)
        if call.flag("purge"):
            jobs.forget(call.cluster, guest.vmid)
        task.log.append(f"VM {guest.vmid}: removed")

    return call.start_task("qmdestroy", guest.vmid, work)


@method("POST", "/nodes/{node}/qemu/{vmid}/move_disk")
async def move_disk(call: Call) -> str:
    """Bring a disk to another storage of the node, while the guest runs too; the old one must not be kept."""
    guest, drive = call.guest(), call.text("disk")
    storage = layout.storage(call.text("storage")).name
    config.check_lock(guest)
    if drive not in guest.config:
        raise ParameterError({"disk": f"disk '{drive}' does not exist"})
    old = str(guest.config[drive]).partition(",")[0]
    if old.partition(":")[0] == storage:
        raise ParameterError({"storage": "you can't move to the same storage with same format"})
    if config.is_cdrom(str(guest.config[drive])):
        raise ParameterError({"disk": "you can't move a cdrom"})
    disks.check_request({drive: f"{storage}:0"})
    rights.demand(call, f"/storage/{storage}", "Datastore.AllocateSpace")
    if not call.flag("delete"):
        raise ApiError(501, "move_disk without delete=1 is in the API but not in the lab's stand-in")

    async def work(task: Task) -> None:
        task.log.append(f"moved {old} to {disks.relocate(call.cluster, guest, drive, storage)}")

    return call.start_task("qmmove", guest.vmid, work)


def _forget(call: Call, guest: Guest) -> set[str]:
    volumes = disks.of_guest(call.cluster, guest)
    for volume in volumes:
        disks.remove_volume(call.cluster, guest.node, volume.volid)
    call.cluster.guests.pop(guest.vmid, None)
    return {volume.image for volume in volumes if volume.image}
