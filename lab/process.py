"""Running other programs: the one place of the lab that starts processes."""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.errors import LabError


def run(command: Sequence[str], *, stdin: str | None = None, seconds: float = 120, name: str = "") -> str:
    """Run a program to its end and return its standard output; its own last words become the :class:`LabError`.

    ``name`` is what the error calls it; the whole command where there is none.
    """
    name = name or " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 (commands are built here, never from a shell string)
            list(command),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{error.filename} is not installed: apt-get install {error.filename}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{name}` did not end within {seconds:.0f} s: look at what holds it") from error
    if done.returncode != 0:
        raise LabError(f"`{name}` failed: {last_words(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def last_words(stderr: str) -> str:
    """Return the last line of a program's standard error that says something."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and "connect to syslog" not in line]
    return lines[-1] if lines else ""


def start_detached(command: Sequence[str], *, log: Path, environment: dict[str, str] | None = None) -> int:
    """Start a background process that inherits neither terminal nor pipes, and return its process id."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            close_fds=True,
            cwd="/",
        )
    return process.pid


def read_pid(path: Path, *, runs: str) -> int | None:
    """Return the process id in a pid file, or None where that process is gone or does not run what ``runs`` names.

    Process ids are given again, after a reboot above all, so the command line has to fit too.
    """
    try:
        pid = int(path.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if is_alive(pid) and runs in command else None


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def end(pid: int, *, seconds: float = 5) -> None:
    """End a process that the lab started: politely first, then for certain."""
    for name, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 1.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, name)
        if wait_until(lambda: not is_alive(pid), seconds=patience):
            return
    raise LabError(f"process {pid} does not end: look at it with ps -p {pid}")


def wait_until(condition: Callable[[], bool], *, seconds: float, pause: float = 0.05) -> bool:
    """Wait until the condition holds; tell whether it did within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@contextlib.contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Hold a file lock: two commands that make the same thing do so one after the other."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
