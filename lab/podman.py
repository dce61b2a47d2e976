"""Calling podman so that systemd containers run on this machine, whatever its cgroups and limits."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.host import Host
from lab.namespace import Namespace
from lab.paths import Paths
from lab.process import exclusively, run

NETWORK = "centralino"
SUBNET = "198.18.0.0/24"
"""Of the range for benchmarks (RFC 2544), which no real network uses."""
GATEWAY = "198.18.0.1"

LABEL = "centralino.lab"
"""Label of all that the lab makes; its value is the state folder, so that two checkouts do not clean each other."""

GUEST_LABEL = "centralino.vmid"
"""Label of a container that is a virtual machine; its value is the machine's id."""

_REMOVAL_PAUSES = (1.0, 5.0)
"""Seconds before each further attempt at a removal."""

_DROP_DEVICE_FILTER = Path(__file__).parent / "hooks" / "drop_device_filter.py"


@dataclass(frozen=True)
class Container:
    """What podman tells of one container."""

    name: str
    status: str
    """created, running, exited, …"""
    exit_code: int
    address: str
    labels: dict[str, str]
    started_at: int
    """Seconds since the epoch; 0 where it never ran."""

    @property
    def running(self) -> bool:
        """Whether its first process lives; that of one whose disk is being copied is only held (podman-commit(1))."""
        return self.status in ("running", "paused")


class Podman:
    """podman with the right namespace, hooks and limits."""

    def __init__(self, host: Host, paths: Paths) -> None:
        self._host = host
        self._paths = paths
        self.namespace = Namespace(host, paths)

    @property
    def sudo(self) -> list[str]:
        """What has to stand before a command that needs root."""
        return self._host.sudo

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the full command line for these podman arguments."""
        hooks = [] if self._host.may_raise_limits else ["--hooks-dir", str(self._hooks)]
        return [*self.namespace.prefix(), "podman", *hooks, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run podman to its end and return what it printed. Raises :class:`LabError` with podman's own words."""
        return run(self.command(arguments), stdin=stdin, seconds=seconds, name=f"podman {arguments[0]}")

    @property
    def label(self) -> str:
        """The label that marks what this checkout's lab makes."""
        return f"{LABEL}={self._paths.state}"

    @cached_property
    def limits(self) -> list[str]:
        """Limits that the machine permits a container to be given."""
        allowed = [
            "--ulimit", f"nofile={self._host.files}:{self._host.files}",
            "--ulimit", f"nproc={self._host.processes}:{self._host.processes}",
        ]  # fmt: skip
        return [*allowed, f"--pids-limit={8192 if 'pids' in self.controllers else -1}"]

    @cached_property
    def controllers(self) -> frozenset[str]:
        """The cgroup2 controllers that containers can be limited with."""
        prefix = self.namespace.prefix()
        return frozenset(run([*prefix, "cat", "/sys/fs/cgroup/cgroup.controllers"]).split())

    @cached_property
    def _hooks(self) -> Path:
        folder = self._paths.state / "hooks"
        folder.mkdir(parents=True, exist_ok=True)
        hook = {
            "version": "1.0.0",
            "hook": {"path": sys.executable, "args": [sys.executable, "-I", str(_DROP_DEVICE_FILTER)]},
            "when": {"always": True},
            "stages": ["precreate"],
        }
        file = folder / "drop-device-filter.json"
        text = json.dumps(hook)
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
        return folder

    # --- containers ---------------------------------------------------------------------------------------------------

    def remove(self, *names: str, grace: int = 0) -> None:
        """Remove containers with their volumes; those that are gone already are no error.

        ``grace`` is how many seconds their processes have to end. A removal that breaks off is taken up again: the
        runtime fails where a process ends by itself between the look at it and the signal.
        """
        for pause in (*_REMOVAL_PAUSES, None):
            try:
                self("rm", "--force", "--ignore", "--volumes", "--time", str(grace), *names)
            except LabError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    # --- network -----------------------------------------------------------------------------------------------------

    def ensure_network(self) -> None:
        """Make the containers' network where it is not there yet."""
        if self.succeeds("network", "exists", NETWORK):
            return
        with exclusively(self._paths.cache / "network.lock"):
            if not self.succeeds("network", "exists", NETWORK):
                options = ["--subnet", SUBNET, "--gateway", GATEWAY, "--label", self.label]
                self("network", "create", *options, NETWORK)

    # --- questions ---------------------------------------------------------------------------------------------------

    def succeeds(self, *arguments: str) -> bool:
        """Run podman and tell whether it ended with 0."""
        command = self.command(arguments)
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0  # noqa: S603

    def has_image(self, image: str) -> bool:
        """Tell whether an image is in podman's storage."""
        return self.succeeds("image", "exists", image)

    def containers(self, *, label: str | None = None) -> dict[str, Container]:
        """Return this lab's containers by name; with ``label``, those that carry it too."""
        return {box.name: box for box in self._listed(self.label, *([label] if label else []))}

    def other_labs(self, label: str = LABEL) -> list[Path]:
        """Return the state folders of other labs that have containers here; with ``label``, some that carry it."""
        return [Path(state) for state in {box.labels[LABEL] for box in self._listed(label)} - {str(self._paths.state)}]

    def _listed(self, *labels: str) -> list[Container]:
        filters = [f"--filter=label={label}" for label in labels]
        return [_container(entry) for entry in json.loads(self("ps", "--all", "--format", "json", *filters) or "[]")]


def _container(listed: dict[str, Any]) -> Container:
    labels = listed.get("Labels") or {}
    return Container(
        name=listed["Names"][0],
        status=listed["State"],
        exit_code=listed.get("ExitCode", 0),
        address=labels.get("centralino.address", ""),
        labels=labels,
        started_at=max(0, listed.get("StartedAt", 0)),
    )
