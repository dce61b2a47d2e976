"""Tasks: work that a request starts and that goes on after the answer (UPIDs)."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from lab.errors import LabError
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.state import Store, Task

SHORTEST = 0.3
"""Seconds that a task takes at least, so that a client that does not wait for the end is found out."""
LOCK_PATIENCE = 10.0
"""Seconds that a task waits for a storage's lock, as on a node."""

Work = Callable[[Task], Awaitable[None]]
log = logging.getLogger(__name__)


def upid(node: str, kind: str, identifier: str, user: str, *, pid: int, pstart: int, starttime: int) -> str:
    """Return the task's name: ``UPID:node:pid:pstart:starttime:type:id:user:``, the numbers in hexadecimal."""
    return f"UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{identifier}:{user}:"


class Tasks:
    """Starts tasks and remembers how they ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._count = 0
        for task in store.cluster.tasks:
            if not task.exitstatus:  # its process went with the stand-in that ran it
                task.endtime, task.exitstatus = int(time.time()), "unexpected status"

    def start(self, node: str, kind: str, identifier: str | int, user: str, work: Work) -> str:
        """Start a task and return its UPID at once."""
        self._count += 1
        now, pid, pstart = int(time.time()), os.getpid() + self._count, int(time.monotonic() * 100)
        name = upid(node, kind, str(identifier), user, pid=pid, pstart=pstart, starttime=now)
        task = Task(name, node, kind, str(identifier), user, pid, pstart, now)
        self._store.cluster.tasks.append(task)
        self._store.save()
        running = asyncio.create_task(self._run(task, work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return name

    async def _run(self, task: Task, work: Work) -> None:
        began = time.monotonic()
        try:
            await work(task)
            status = "OK"
        except (TaskError, LabError) as error:
            status = str(error)
        except ApiError as error:
            status = error.message
        except asyncio.CancelledError:
            status = "interrupted by signal"
        except Exception as error:
            log.exception("task %s", task.upid)
            status = f"internal error of the stand-in: {error}"
        if status == "OK":
            await asyncio.sleep(max(0.0, SHORTEST - (time.monotonic() - began)))
        task.endtime, task.exitstatus = int(time.time()), " ".join(status.split())
        task.log.append("TASK OK" if status == "OK" else f"TASK ERROR: {task.exitstatus}")
        self._store.save()

    def find(self, node: str, name: str) -> Task:
        """Return a task of a node."""
        for task in reversed(self._store.cluster.tasks):
            if task.upid == name and task.node == node:
                return task
        if not name.startswith("UPID:"):
            raise ApiError(400, f"unable to parse worker upid '{name}'")
        raise ApiError(500, f"no such task: {name}")

    @asynccontextmanager
    async def locked(self, storage: str) -> AsyncIterator[None]:
        """Hold a storage's lock: its volumes are made one after the other, and who waits too long fails."""
        lock = self._locks.setdefault(storage, asyncio.Lock())
        try:
            await asyncio.wait_for(lock.acquire(), LOCK_PATIENCE)
        except TimeoutError as error:
            raise TaskError(f"can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout") from error
        try:
            yield
        finally:
            lock.release()

    async def finish(self) -> None:
        """Cancel what still runs; used when the stand-in ends."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
