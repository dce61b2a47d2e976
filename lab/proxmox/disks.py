"""Disks: allocation, import, cloning, growth and removal of a guest's volumes."""

import re
import time

from lab.proxmox import layout, sizes
from lab.proxmox.config import DRIVES, boot_disk, is_cdrom
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.layout import GIB
from lab.proxmox.runtime import CLOUD_IMAGE, Runtime
from lab.proxmox.state import Cluster, Config, Guest, Volume

CLOUDINIT_SIZE = 4 * 2**20


def check_request(config: Config) -> None:
    """Refuse at once a drive on a storage that does not exist or takes no disks."""
    for key, value in config.items():
        new = _new_disk(str(value)) if DRIVES.fullmatch(key) else None
        if new and "images" not in layout.storage(new[0]).content:
            raise ApiError(500, f"storage '{new[0]}' does not support vm images")


def allocate(cluster: Cluster, node: str, vmid: int, config: Config) -> None:
    """Make the volumes that a configuration asks for and name them in it.

    It asks by ``local-lvm:32`` (GiB), ``local-lvm:0,import-from=local:import/…`` or ``local-lvm:cloudinit``.
    """
    for key, value in config.items():
        if not DRIVES.fullmatch(key):
            continue
        text = str(value)
        new = _new_disk(text)
        options = text.split(",")[1:]
        if new is None:
            volume = text.partition(",")[0]
            if ":" in volume:
                find(cluster, node, volume)
            continue
        storage, amount = new
        if amount == "cloudinit":
            made = _add(cluster, node, f"{storage}:vm-{vmid}-cloudinit", CLOUDINIT_SIZE, vmid)
            config[key] = ",".join([made.volid, "media=cdrom", f"size={sizes.write(made.size)}"])
            continue
        source = next((part.removeprefix("import-from=") for part in options if part.startswith("import-from=")), "")
        size, image = int(float(amount) * GIB), ""
        if source:
            imported = find(cluster, node, source)
            size, image = imported.size, imported.image
        made = _add(cluster, node, _free_name(cluster, node, storage, vmid), size, vmid, image=image)
        kept = [part for part in options if not part.startswith(("import-from=", "size="))]
        config[key] = ",".join([made.volid, *kept, f"size={sizes.write(size)}"])


def clone(
    cluster: Cluster, source: Guest, target: Guest, image: str, *, storage: str = "", linked: bool = False
) -> None:
    """Give the target volumes for the source's drives: full copies, on one storage or each on its own, or linked ones.

    ``image`` is the content of the source's boot disk.
    """
    for key, value in source.config.items():
        volid, *options = str(value).split(",")
        if not DRIVES.fullmatch(key) or ":" not in volid:
            continue
        old = find(cluster, source.node, volid)
        place = storage or old.storage
        if volid.endswith("-cloudinit"):
            new = _add(cluster, target.node, f"{place}:vm-{target.vmid}-cloudinit", old.size, target.vmid)
        else:
            name = _free_name(cluster, target.node, place, target.vmid)
            content = image if key == boot_disk(source.config) else ""
            parent = old.volid if linked else ""
            new = _add(cluster, target.node, name, old.size, target.vmid, image=content, parent=parent)
        target.config[key] = ",".join([new.volid, *options])


def add_restored(cluster: Cluster, guest: Guest, storage: str, size: str, image: str, *, cloudinit: bool) -> Volume:
    """Make a volume with the content of a backup."""
    if "images" not in layout.storage(storage).content:
        raise TaskError(f"storage '{storage}' does not support vm images")
    if cloudinit:
        return _add(cluster, guest.node, f"{storage}:vm-{guest.vmid}-cloudinit", CLOUDINIT_SIZE, guest.vmid)
    name = _free_name(cluster, guest.node, storage, guest.vmid)
    return _add(cluster, guest.node, name, sizes.parse(size), guest.vmid, image=image)


def make_base(cluster: Cluster, guest: Guest, image: str) -> None:
    """Rename a new template's disks to ``base-…``; their content may not change any more."""
    for key, value in guest.config.items():
        volid, *options = str(value).split(",")
        if not DRIVES.fullmatch(key) or ":vm-" not in volid or volid.endswith("-cloudinit"):
            continue
        volume = find(cluster, guest.node, volid)
        remove_volume(cluster, guest.node, volid)
        volume.volid = volid.replace(":vm-", ":base-")
        if key == boot_disk({**guest.config, key: value}):
            volume.image = image
        cluster.volumes[layout.storage(volume.storage).volume_key(guest.node, volume.volid)] = volume
        guest.config[key] = ",".join([volume.volid, *options])


def grow(cluster: Cluster, guest: Guest, drive: str, wanted: str) -> None:
    """Grow a disk to a size, or by one (``+2G``)."""
    if drive not in guest.config:
        raise TaskError(f"disk '{drive}' does not exist")
    volid, *options = str(guest.config[drive]).split(",")
    volume = find(cluster, guest.node, volid)
    size = volume.size + sizes.parse(wanted[1:]) if wanted.startswith("+") else sizes.parse(wanted)
    if size < volume.size:
        raise TaskError("shrinking disks is not supported")
    volume.size = size
    kept = [part for part in options if not part.startswith("size=")]
    guest.config[drive] = ",".join([volid, *kept, f"size={sizes.write(size)}"])


def forget_half_made(cluster: Cluster) -> None:
    """Drop guests whose creation or cloning went with an earlier stand-in; a node would leave them locked for ever."""
    for guest in [guest for guest in cluster.guests.values() if guest.config.get("lock") in ("create", "clone")]:
        for volume in of_guest(cluster, guest):
            remove_volume(cluster, guest.node, volume.volid)
        del cluster.guests[guest.vmid]


def children(cluster: Cluster, guest: Guest) -> list[Volume]:
    """Return the linked clones that hang on a guest's disks."""
    own = {volume.volid for volume in of_guest(cluster, guest)}
    return [volume for volume in cluster.volumes.values() if volume.parent in own and volume.vmid != guest.vmid]


def of_guest(cluster: Cluster, guest: Guest) -> list[Volume]:
    """Return a guest's volumes."""
    return [
        volume
        for volume in cluster.volumes.values()
        if volume.vmid == guest.vmid and volume.node in ("", guest.node) and volume.content != "backup"
    ]


def find(cluster: Cluster, node: str, volid: str) -> Volume:
    """Return a volume as a node sees it."""
    key = layout.storage(volid.partition(":")[0]).volume_key(node, volid)
    if key not in cluster.volumes:
        raise TaskError(f"volume '{volid}' does not exist")
    return cluster.volumes[key]


def remove_volume(cluster: Cluster, node: str, volid: str) -> None:
    """Forget a volume."""
    cluster.volumes.pop(layout.storage(volid.partition(":")[0]).volume_key(node, volid), None)


def used(cluster: Cluster, storage: layout.Storage, node: str) -> int:
    """Return how much of a storage is taken, as a node sees it, in bytes."""
    own = ("", node)
    return sum(one.size for one in cluster.volumes.values() if one.storage == storage.name and one.node in own)


def storages(config: Config) -> list[str]:
    """Return the storages that a configuration's drives are on, sorted."""
    drives = [str(value).partition(",")[0] for key, value in config.items() if DRIVES.fullmatch(key)]
    return sorted({drive.partition(":")[0] for drive in drives if ":" in drive})


def is_local(guest: Guest) -> bool:
    """Tell whether a guest has a disk on a storage of its node alone."""
    return any(not layout.storage(name).shared for name in storages(guest.config))


def local_volumes(guest: Guest) -> list[str]:
    """Return the disks that a guest has on storages of its node alone; cloud-init's drive is none."""
    drives = [str(value) for key, value in guest.config.items() if DRIVES.fullmatch(key)]
    volumes = [drive.partition(",")[0] for drive in drives if ":" in drive and not is_cdrom(drive)]
    return [volume for volume in volumes if not layout.storage(volume.partition(":")[0]).shared]


def boot_volume(cluster: Cluster, guest: Guest) -> Volume | None:
    """Return the disk that a guest boots from."""
    name = boot_disk(guest.config)
    return find(cluster, guest.node, str(guest.config[name]).partition(",")[0]) if name else None


def replica(cluster: Cluster, guest: Guest, node: str) -> str:
    """Return the image that replication has left of a guest's disk on a node; empty where there is none."""
    jobs = [job for job in cluster.replication.values() if (job["guest"], job["target"]) == (guest.vmid, node)]
    return next((str(job["image"]) for job in jobs if job.get("image")), "")


def relocate(cluster: Cluster, guest: Guest, drive: str, storage: str) -> str:
    """Bring one of a guest's disks to another storage and return its new name; its content stays as it is."""
    old, *options = str(guest.config[drive]).split(",")
    volume = find(cluster, guest.node, old)
    remove_volume(cluster, guest.node, old)
    name = _free_name(cluster, guest.node, storage, guest.vmid)
    made = _add(cluster, guest.node, name, volume.size, guest.vmid, image=volume.image)
    guest.config[drive] = ",".join([made.volid, *options])
    return made.volid


async def drop_image(cluster: Cluster, runtime: Runtime, image: str) -> None:
    """Remove the content of a disk that is gone, where no other has the same."""
    kept = {volume.image for volume in cluster.volumes.values()}
    kept |= {str(job.get("image", "")) for job in cluster.replication.values()}
    if image and image not in kept:
        await runtime.remove_image(image)


def add_import(cluster: Cluster, node: str, storage: str, content: str, filename: str) -> Volume:
    """Add a file that was downloaded; a cloud image's content is the lab's base image."""
    name = layout.storage(storage)
    image = CLOUD_IMAGE if content == "import" else ""
    volid = f"{storage}:{content}/{filename}"
    volume = Volume(
        volid, "" if name.shared else node, 3 * GIB, content, filename.rpartition(".")[2], time.time(), image=image
    )
    cluster.volumes[name.volume_key(node, volid)] = volume
    return volume


def _new_disk(drive: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"([a-zA-Z][\w.-]*):(\d+(?:\.\d+)?|cloudinit)", drive.partition(",")[0])
    return (match[1], match[2]) if match else None


def _free_name(cluster: Cluster, node: str, storage: str, vmid: int) -> str:
    place, number = layout.storage(storage), 0
    while place.volume_key(node, f"{storage}:vm-{vmid}-disk-{number}") in cluster.volumes:
        number += 1
    return f"{storage}:vm-{vmid}-disk-{number}"


def _add(cluster: Cluster, node: str, volid: str, size: int, vmid: int, *, image: str = "", parent: str = "") -> Volume:
    place = layout.storage(volid.partition(":")[0])
    kind = "qcow2" if place.type in ("dir", "nfs") else "raw"
    volume = Volume(volid, "" if place.shared else node, size, "images", kind, time.time(), vmid, image, parent)
    cluster.volumes[place.volume_key(node, volid)] = volume
    return volume
