"""Storages: their content, and cloud images that are downloaded into them."""

import asyncio
from typing import Any

from lab.proxmox import disks, layout
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.state import Task, Volume

DOWNLOAD_SECONDS = 0.5
EXTENSIONS = {
    "import": (".ova", ".qcow2", ".raw", ".vmdk"),
    "iso": (".img", ".iso"),
    "vztmpl": (".tar.gz", ".tar.xz", ".tar.zst"),
}


@method("GET", "/storage")
async def storages(call: Call) -> list[dict[str, Any]]:
    """List the cluster's storages."""
    wanted = call.text("type")
    return [
        {
            "storage": storage.name,
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "shared": int(storage.shared),
        }
        for storage in layout.STORAGES.values()
        if wanted in ("", storage.type)
    ]


@method("GET", "/nodes/{node}/storage")
async def node_storages(call: Call) -> list[dict[str, Any]]:
    """List a node's storages with their room."""
    wanted = {part for part in call.text("content").split(",") if part}
    return [
        {"storage": storage.name, **_room(call, storage)}
        for storage in layout.STORAGES.values()
        if wanted <= storage.content and call.text("storage") in ("", storage.name)
    ]


@method("GET", "/nodes/{node}/storage/{storage}/status")
async def storage_status(call: Call) -> dict[str, Any]:
    """Tell a storage's room."""
    call.node  # noqa: B018 (refuses an unknown node)
    return _room(call, layout.storage(call.text("storage")))


@method("GET", "/nodes/{node}/storage/{storage}/content")
async def content(call: Call) -> list[dict[str, Any]]:
    """List a storage's volumes; of backups, those alone that the caller could restore."""
    storage, kind = layout.storage(call.text("storage")), call.text("content")
    if not storage.reachable:
        raise ApiError(500, f"storage '{storage.name}' is not online")
    return [
        _listed(volume)
        for volume in call.cluster.volumes.values()
        if volume.storage == storage.name
        and (volume.content != "backup" or _may_read(call, volume))
        and volume.node in ("", call.node)
        and kind in ("", volume.content)
        and ("vmid" not in call.parameters or volume.vmid == call.vmid)
    ]


@method("GET", "/nodes/{node}/storage/{storage}/content/{volume}")
async def volume_attributes(call: Call) -> dict[str, Any]:
    """Tell of one volume."""
    volume = _find(call)
    return {
        "path": f"/dev/{volume.storage}/{volume.volid.partition(':')[2]}",
        "size": volume.size,
        "used": 0,
        "format": volume.format,
    }


@method("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}")
async def delete_volume(call: Call) -> str:
    """Remove a volume that no guest uses."""
    volume, node = _find(call), call.node
    if volume.protected:
        raise ApiError(500, f"can't remove '{volume.volid}': it is protected")
    if volume.vmid in call.cluster.guests and volume.content != "backup":
        raise ApiError(500, f"cannot remove volume '{volume.volid}': still used by VM {volume.vmid}")

    async def work(task: Task) -> None:
        task.log.append(f"Removed volume '{volume.volid}'")
        disks.remove_volume(call.cluster, node, volume.volid)
        await disks.drop_image(call.cluster, call.runtime, volume.image)

    return call.start_task("imgdel", f"{volume.vmid or ''}@{volume.storage}", work)


@method("POST", "/nodes/{node}/storage/{storage}/download-url")
async def download_url(call: Call) -> str:
    """Take a cloud image into a storage.

    The lab has one, Debian 13, and does not fetch it: its content is the base image.
    """
    storage, kind, filename, url = (
        layout.storage(call.text("storage")), call.text("content"), call.text("filename"), call.text("url"),
    )  # fmt: skip
    if kind not in storage.content:
        raise ApiError(500, f"storage '{storage.name}' is not configured for content-type '{kind}'")
    if "/" in filename or not filename.endswith(EXTENSIONS[kind]):
        raise ParameterError({"filename": "invalid filename or wrong extension"})
    node = call.node
    volid = f"{storage.name}:{kind}/{filename}"
    if storage.volume_key(node, volid) in call.cluster.volumes:
        raise ApiError(500, f"refusing to override existing file '{volid}'")

    async def work(task: Task) -> None:
        task.log.append(f"downloading {url} to {volid}")
        await asyncio.sleep(DOWNLOAD_SECONDS)
        if kind == "import" and not any(word in url.lower() for word in ("debian-13", "trixie")):
            raise TaskError("download failed: 404 Not Found (the stand-in has a Debian 13 image alone)")
        disks.add_import(call.cluster, node, storage.name, kind, filename)
        task.log.append(f"download of '{url}' to '{volid}' finished")

    return call.start_task("download", filename, work)


def _may_read(call: Call, backup: Volume) -> bool:
    """Tell whether a caller may read a backup (PVE::Storage, ``check_volume_access``)."""
    path = f"/storage/{backup.storage}"
    return call.may("Datastore.Allocate", path) or (
        call.may("Datastore.AllocateSpace", path) and call.may("VM.Backup", f"/vms/{backup.vmid}")
    )


def _find(call: Call) -> Volume:
    name = call.text("volume")
    volid = name if ":" in name else f"{call.text('storage')}:{name}"
    try:
        return disks.find(call.cluster, call.node, volid)
    except TaskError as error:
        raise ApiError(500, str(error)) from error


def _listed(volume: Volume) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size,
        "ctime": int(volume.created),
    }  # fmt: skip
    optional = {
        "vmid": volume.vmid, "parent": volume.parent, "notes": volume.notes, "protected": int(volume.protected),
    }  # fmt: skip
    return entry | {key: value for key, value in optional.items() if value}


def _room(call: Call, storage: layout.Storage) -> dict[str, Any]:
    used = disks.used(call.cluster, storage, call.node)
    return {
        "type": storage.type, "content": ",".join(sorted(storage.content)), "shared": int(storage.shared),
        "active": int(storage.reachable), "enabled": 1,
        "total": storage.size, "used": used, "avail": max(0, storage.size - used), "used_fraction": used / storage.size,
    }  # fmt: skip
