"""Storage replication: a guest's disk is copied to another node again and again (pvesr(1)); ZFS alone can do it.

The copy is real: an image with what the disk held when the job last ran. A guest that comes back on the replica's
node comes back with that, and with nothing that was written later.
"""

import asyncio
import logging
import time

from lab.proxmox import calendar_events, crm, disks, layout
from lab.proxmox.errors import ApiError
from lab.proxmox.runtime import Runtime
from lab.proxmox.state import Config, Guest, Store

DEFAULT_SCHEDULE = "*/15"

log = logging.getLogger(__name__)


def check(guest: Guest) -> None:
    """Refuse a guest whose own disks are on storages without replication; what is shared needs none."""
    for volume in disks.local_volumes(guest):
        if layout.storage(volume.partition(":")[0]).type != "zfspool":
            raise ApiError(500, f"missing replicate feature on volume '{volume}'")


def due(job: Config, now: float) -> bool:
    """Tell whether a job is to run: new, asked for, or its schedule's moment has come."""
    if job.get("disable"):
        return False
    if job.get("asked") or not job.get("last_sync"):
        return True
    comes = calendar_events.following(str(job.get("schedule", DEFAULT_SCHEDULE)), float(job["last_sync"]))
    return comes is not None and comes <= now


class Replicator:
    """Runs the jobs; one at a time, as a node does."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime

    async def watch(self) -> None:
        """Look every moment for what is due."""
        while True:
            await asyncio.sleep(0.1)
            for name, job in list(self._store.cluster.replication.items()):
                if due(job, time.time()):
                    try:
                        await self._sync(name, job)
                    except Exception:
                        log.exception("replication job %s", name)
                        await asyncio.sleep(1)

    async def _sync(self, name: str, job: Config) -> None:
        guest = self._store.cluster.guests.get(int(job["guest"]))
        target = str(job["target"])
        if guest is None or guest.node == target or not guest.has_container:
            return
        if not crm.online(self._store, guest.node) or not crm.online(self._store, target):
            return
        began = time.time()
        image, old = await self._runtime.copy_disk(guest.vmid), str(job.get("image", ""))
        if name not in self._store.cluster.replication or not crm.online(self._store, guest.node):
            await self._runtime.remove_image(image)  # half of a copy is none
            return
        job |= {"image": image, "last_sync": int(began), "duration": round(time.time() - began, 1)}
        job.pop("asked", None)
        self._store.save()
        await disks.drop_image(self._store.cluster, self._runtime, old)
