"""What a container is told at boot: the part that cloud-init's drive has in a virtual machine.

A seed is a folder with one ``seed.json``, mounted read-only into the container, where ``lab-first-boot`` of the base
image reads it on each boot and makes it true: host name, user, sudo, keys, name servers.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

MOUNT = "/var/lib/lab-seed"
"""Where the container finds its seed."""


@dataclass(frozen=True)
class Seed:
    """What the guest makes of itself."""

    hostname: str
    user: str = "root"
    keys: list[str] = field(default_factory=list)
    """Public SSH keys of the user, one a string."""
    nameservers: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)


def write(folder: Path, seed: Seed) -> None:
    """Write a container's seed, atomically: the container may be booting."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".seed.{os.getpid()}"
    new.write_text(json.dumps(asdict(seed), indent=1) + "\n")
    new.replace(folder / "seed.json")


def remove(folder: Path) -> None:
    """Remove a container's seed."""
    shutil.rmtree(folder, ignore_errors=True)
