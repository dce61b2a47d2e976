"""What this machine permits; asked of the kernel, never assumed."""

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

CAP_SYS_RESOURCE = 24
"""linux/capability.h: lets a process raise its limits."""

WANTED_FILES = 65536
WANTED_PROCESSES = 32768
"""podman sets its own hard limit to this (the usual pid_max), and a container cannot have more."""


@dataclass(frozen=True)
class Host:
    """Facts about this machine that decide how podman is called."""

    root: bool
    cgroup_v2: bool
    """/sys/fs/cgroup is a cgroup2 file system: podman can run systemd containers as it is."""
    may_raise_limits: bool
    """CAP_SYS_RESOURCE is in the bounding set."""
    files: int
    """Open files that a container may be given."""
    processes: int
    """Processes that a container may be given."""

    @property
    def sudo(self) -> list[str]:
        """What has to stand before a command that needs root."""
        return [] if self.root else ["sudo", "-n"]


def detect() -> Host:
    """Look at the machine."""
    capabilities = _bounding_set(Path("/proc/self/status").read_text())
    may_raise = bool(capabilities >> CAP_SYS_RESOURCE & 1)
    return Host(
        root=os.geteuid() == 0,
        cgroup_v2=has_cgroup2(Path("/proc/self/mountinfo").read_text()),
        may_raise_limits=may_raise,
        files=_limit(resource.RLIMIT_NOFILE, WANTED_FILES, may_raise=may_raise),
        processes=_limit(resource.RLIMIT_NPROC, WANTED_PROCESSES, may_raise=may_raise),
    )


def require_tools() -> None:
    """Refuse with one sentence where a program that the lab runs is missing."""
    debian = {"podman": "podman", "nsenter": "util-linux", "unshare": "util-linux", "mmdebstrap": "mmdebstrap"}
    missing = sorted({package for program, package in debian.items() if not _find(program)})
    if missing:
        raise LabError(f"{' and '.join(missing)} missing on this machine: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0 and not _find("sudo"):
        raise LabError("the lab needs root for podman's network: run as root, or install sudo")


def has_cgroup2(mountinfo: str) -> bool:
    """Tell from /proc/<pid>/mountinfo whether /sys/fs/cgroup itself is cgroup2 (proc(5))."""
    found = False
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[4] == "/sys/fs/cgroup":
            found = after.split()[0] == "cgroup2"  # the last mount on a path is the one that is seen
    return found


def _bounding_set(status: str) -> int:
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return 0


def _limit(which: int, wanted: int, *, may_raise: bool) -> int:
    hard = resource.getrlimit(which)[1]
    if may_raise or hard == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, hard)


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
