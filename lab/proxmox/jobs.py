"""The cluster's backup jobs run: at its moment, every node backs up those of a job's guests that it holds.

As on a node they are root's, so that no token's rights bound them, and what was missed while nothing ran is made up
for only where the job says so (``repeat-missed``).
"""

import asyncio
import logging
import time

from lab.proxmox import auth, calendar_events, crm
from lab.proxmox.api.backups import back_up, numbers
from lab.proxmox.api.call import Call
from lab.proxmox.crm import Manager
from lab.proxmox.errors import ApiError
from lab.proxmox.runtime import Runtime
from lab.proxmox.state import Cluster, Config, Store
from lab.proxmox.tasks import Tasks

NOT_VZDUMP = frozenset({"comment", "enabled", "id", "repeat-missed", "schedule", "since", "type"})
"""What of a job is not handed to vzdump."""
_LOOK_SECONDS = 0.2

log = logging.getLogger(__name__)


def comes(job: Config) -> float | None:
    """Return when a job runs next (seconds since the epoch); None where it does not."""
    return calendar_events.following(str(job["schedule"]), float(job["since"])) if job.get("enabled", 1) else None


def forget(cluster: Cluster, vmid: int) -> None:
    """Take a guest that was removed out of all jobs; a job that has none left goes."""
    for name, job in list(cluster.jobs.items()):
        for key in ("vmid", "exclude"):
            if vmid in (left := numbers(str(job.get(key, "")))):
                job[key] = ",".join(str(one) for one in sorted(left - {vmid}))
        if job.get("vmid") == "":
            del cluster.jobs[name]


class Scheduler:
    """Starts what is due."""

    def __init__(self, store: Store, tasks: Tasks, runtime: Runtime, manager: Manager) -> None:
        self._store = store
        self._tasks = tasks
        self._runtime = runtime
        self._manager = manager
        for job in store.cluster.jobs.values():
            if not job.get("repeat-missed"):
                job["since"] = time.time()

    async def watch(self) -> None:
        """Look every moment for what is due."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if not crm.quorate(self._store):
                continue
            now = time.time()
            for name, job in list(self._store.cluster.jobs.items()):
                if (moment := comes(job)) is not None and moment <= now:
                    job["since"] = now
                    self._store.save()
                    self._run(name, job)

    def _run(self, name: str, job: Config) -> None:
        settings = {key: value for key, value in job.items() if key not in NOT_VZDUMP}
        for node in self._store.nodes:
            if not crm.online(self._store, node) or job.get("node", node) != node:
                continue
            parameters = {**settings, "node": node}
            call = Call(auth.Caller(auth.ROOT), parameters, self._store, self._tasks, self._runtime, self._manager)
            try:
                back_up(call)
            except ApiError:
                log.exception("backup job %s on %s", name, node)
