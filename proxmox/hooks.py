"""Programs that an inventory names for what no API of Proxmox can do: prove that a node is off, say."""

import subprocess
from pathlib import Path
from typing import Final

_SECONDS: Final = 60


class BrokenHookError(Exception):
    """The program cannot be run, or does not come to an end."""


def run(hook: Path, *words: str) -> str:
    """Run a program with these words; return nothing where it succeeds, and else what it said.

    Raises :class:`BrokenHookError`.
    """
    try:
        done = subprocess.run(  # noqa: S603 (the inventory names it)
            [str(hook), *words], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokenHookError(str(error)) from None
    if done.returncode == 0:
        return ""
    return " ".join((done.stderr or done.stdout).split())[-200:] or f"exit code {done.returncode}"


def failure(hook: Path, *words: str) -> str:
    """Run a program with these words; return nothing where it succeeds, and else what it said or what kept it back."""
    try:
        return run(hook, *words)
    except BrokenHookError as error:
        return str(error)
