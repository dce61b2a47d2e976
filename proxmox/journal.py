"""What was asked of the cluster, on disk before it is waited for; and the lock that keeps two runs apart.

A line of JSON for each event, written through to the disk: ``intend`` before a request leaves, ``task`` with its UPID
before it is waited for, ``end`` with how it ended, ``done`` when a run has reached its end. A run that was killed at
any point leaves its requests open; the next one finds out what became of each (:func:`recover`) before it does
anything.
"""

import fcntl
import getpass
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, Protocol

from proxmox.calls import Value
from proxmox.errors import ProvisionerError, RefusedError, TaskFailedError, UnansweredError
from proxmox.inventory import shown

_WORDS: Final = ("newid", "vmid", "target", "archive", "unique", "sid")
"""The parameters that are noted with a request."""
_KEPT_BYTES: Final = 1 << 20
"""How large a file may become before it begins anew; one that is still needed goes on."""


@dataclass(frozen=True)
class Request:
    """A write that was sent, or was about to be."""

    number: str
    """Its run and its place in it."""
    command: str
    at: float
    """Seconds since the epoch."""
    text: str
    upid: str | None = None
    end: str | None = None
    """How it ended; None as long as nobody knows."""
    over: bool = False
    """Its run, or a later one, has reached its end."""

    @property
    def words(self) -> dict[str, str]:
        """The parameters that say which machine is made of what: by their names."""
        return dict(word.split("=", 1) for word in self.text.split(" ")[2:])

    @property
    def machines(self) -> frozenset[str]:
        """The VMIDs of the machines that it is about."""
        path = re.findall(r"/qemu/(\d+)|/vm:(\d+)", self.text.split(" ")[1])
        named = {self.words[key] for key in ("newid", "vmid") if key in self.words}
        return frozenset({one or other for one, other in path} | named)


class Journal:
    """The journal of one Proxmox cluster. May be used from several threads; one process at a time (:func:`opened`)."""

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._command = command
        self._run = f"{int(time.time()):x}-{os.getpid():x}"
        self._lock = threading.Lock()
        self._requests = {request.number: request for request in read(path)}
        self.left = tuple(request for request in self._requests.values() if request.end is None)
        """What earlier runs left open."""
        self.unfinished = tuple(request for request in self._requests.values() if not request.over)
        """What was sent since the last run that reached its end."""
        self._file: IO[str] = path.open("a" if self.unfinished or _small(path) else "w")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # the last line was cut off by a crash

    def intend(self, what: str, data: Mapping[str, Value]) -> str:
        """Note a request before it leaves, or a program before it is run; return its number."""
        wanted = " ".join(f"{key}={data[key]}" for key in _WORDS if key in data)
        with self._lock:
            number = f"{self._run}.{len(self._requests)}"
            request = Request(number, self._command, time.time(), f"{what} {wanted}".strip())
            self._requests[number] = request
            self._write({"intend": number, "at": request.at, "command": self._command, "request": request.text})
        return number

    def task(self, number: str, upid: str) -> None:
        """Note the task that a request began, before it is waited for."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], upid=upid)
            self._write({"task": number, "upid": upid})

    def end(self, number: str, status: str) -> None:
        """Note how a request ended."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], end=status)
            self._write({"end": number, "status": status})

    def ended(self, upid: str, status: str) -> None:
        """Note how a task ended, if it is one of ours."""
        for request in tuple(self._requests.values()):
            if request.upid == upid and request.end is None:
                self.end(request.number, status)

    def settle(self) -> None:
        """Close what is open: the whole outcome was read back from the cluster and is what was wanted."""
        for request in tuple(self._requests.values()):
            if request.end is None:
                self.end(request.number, "read back")

    def done(self) -> None:
        """Note that this run has reached its end: nothing of it or of earlier ones is to be taken up."""
        self.settle()
        if any(not request.over for request in self._requests.values()):
            self._write({"done": self._run})

    def close(self) -> None:
        """Close the file. What a full disk kept from it was told when it was written."""
        with suppress(OSError):
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ProvisionerError(
                f"{shown(self._path)}: the journal cannot be written ({error.strerror}), and nothing is asked of the "
                "cluster without it: make room there, then run the same command again"
            ) from None


def read(path: Path) -> tuple[Request, ...]:
    """Return all requests of a journal. A last line that a crash cut off was not acted upon, and is skipped."""
    requests: dict[str, Request] = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            if "intend" in line:
                requests[line["intend"]] = Request(
                    line["intend"], str(line["command"]), float(line["at"]), str(line["request"])
                )
            elif "task" in line:
                requests[line["task"]] = replace(requests[line["task"]], upid=str(line["upid"]))
            elif "end" in line:
                requests[line["end"]] = replace(requests[line["end"]], end=str(line["status"]))
            elif "done" in line:
                requests = {name: replace(request, over=True) for name, request in requests.items()}
        except (ValueError, KeyError, TypeError):
            if text and not _cut_off(text):
                raise ProvisionerError(
                    f"{shown(path)}:{number}: this line is no entry of the provisioner's journal: see what wrote it; "
                    "with the file moved away, the next run starts from what it finds on the cluster"
                ) from None
    return tuple(requests.values())


def _cut_off(text: str) -> bool:
    """Tell whether a line is the beginning of an entry."""
    return re.match(r'\{("(intend|task|end|done)": .*)?', text) is not None and not text.endswith("}")


def _small(path: Path) -> bool:
    return path.exists() and path.stat().st_size < _KEPT_BYTES


@contextmanager
def opened(path: Path, command: str) -> Iterator[Journal]:
    """Hold the cluster's lock and its journal.

    Raises :class:`ProvisionerError` where another run holds it; the kernel frees the lock of one that was killed.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ProvisionerError(
            f"{shown(path)}: the journal cannot be written ({error.strerror}): correct proxmox_journal, or the "
            "folder's owner"
        ) from None
    with os.fdopen(lock, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another run"
            raise ProvisionerError(
                f"{holder} is at work on this cluster: wait until it has ended, then run the same command again"
            ) from None
        file.truncate()
        file.write(
            f"`{command}` of {getpass.getuser()}@{socket.gethostname()} (process {os.getpid()}, since "
            f"{time.strftime('%H:%M:%S')})"
        )
        file.flush()
        journal = Journal(path, command)
        try:
            yield journal
        finally:
            journal.close()
            file.truncate(0)


class Waiter(Protocol):
    """What waits for tasks: :class:`proxmox.api.Api`."""

    def wait(self, upid: str, seconds: float, what: str) -> None:
        """Wait for a task."""


def recover(api: Waiter, journal: Journal, seconds: float, report: Callable[[str], None]) -> None:
    """Find out what became of each request that an earlier run left open, and wait for what still runs.

    A request without a UPID may or may not have arrived: what it made shows when the cluster is read, which is why the
    plan is made after this. Raises :class:`ProvisionerError` when a task does not end in time.
    """
    for request in journal.left:
        when = time.strftime("%H:%M:%S", time.localtime(request.at))
        what = f"`{request.command}` of {when} was cut off in {request.text}"
        if request.upid is None:
            report(f"{what}: whether it arrived shows on the cluster")
            journal.end(request.number, "looked up")
            continue
        try:
            report(f"{what}: waiting for its task")
            api.wait(request.upid, seconds, what)
            report(f"{what}: its task has ended well")
        except TaskFailedError as error:
            report(f"{what}: its task failed: {error.exit_status}")
        except UnansweredError:
            report(f"{what}: the task's node does not answer; what it left is looked at on the cluster")
            journal.end(request.number, "node does not answer")
        except RefusedError as error:
            report(f"{what}: the cluster does not know its task any more ({error.reason})")
            journal.end(request.number, "unknown")
