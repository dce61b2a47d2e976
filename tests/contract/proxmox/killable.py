"""Runs a command of the provisioner in a process of its own that may kill itself, or whose disk may be full.

The processes are forked from one that has loaded everything already: a test kills dozens of them.
"""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import chdir
from multiprocessing import forkserver
from pathlib import Path
from threading import Lock
from typing import Any

from lab.paths import CHECKOUT
from proxmox import cli, journal
from proxmox.api import Api
from tests.unit.proxmox.conftest import hastened

_STARTING = Lock()
"""Of the server, which needs the working directory of the whole process."""
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__, f"{__package__}.preloaded"])


def run(folder: Path, arguments: Sequence[str], *, moment: int = 0, room: int | None = None) -> tuple[int, str]:
    """Run a command and return its exit code, negative for a signal, and what it said.

    ``moment`` is when it kills itself (:func:`_count`), 0 never; ``room`` is how many bytes its files may still grow.
    """
    said = folder / "said"
    with _STARTING, chdir(CHECKOUT):  # where the server looks for what it is to load, before Python 3.13.1 there alone
        forkserver.ensure_running()
    process = forks.Process(target=_child, args=(str(folder), list(arguments), moment, room, str(said)))
    process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
        process.join()
    return int(process.exitcode or 0), said.read_text()


def _child(folder: str, arguments: list[str], moment: int, room: int | None, said: str) -> None:
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.chdir(folder)
    for module, name, substitute in (
        ("apply", "reach", lambda *_: None),
        ("failover", "reach", lambda *_: None),
        ("reach", "reach", lambda *_: None),
        ("reach", "strangers", lambda _: []),
        ("probes", "of_guest", lambda _: (lambda: None,)),
    ):
        __import__(f"proxmox.{module}")
        setattr(sys.modules[f"proxmox.{module}"], name, substitute)
    Api.pause = hastened  # type: ignore[assignment, method-assign]
    if moment:
        _count(moment)
    if room is not None:
        file = Path(folder) / "cluster/.secrets/proxmox.journal"
        size = file.stat().st_size if file.exists() else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
    sys.exit(cli.main([*arguments, *(() if "-i" in arguments else ("-i", "cluster"))]))


def _count(moment: int) -> None:
    """Have this process kill itself at a moment: each line of the journal has one after it, and one before it.

    A request's first line has none before it, which would be the moment after the line before; the last line, that the
    run is done, has none after it.
    """
    left, write = moment, journal.Journal._write  # noqa: SLF001

    def passed() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self: journal.Journal, line: dict[str, Any]) -> None:
        if "intend" not in line:
            passed()
        write(self, line)
        if "done" not in line:
            passed()

    journal.Journal._write = counted  # type: ignore[method-assign]  # noqa: SLF001
