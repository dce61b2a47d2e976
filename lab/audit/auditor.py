"""The container that the tools run in, with an address in each network that the inventory tells apart."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import containers, images
from lab.cluster import Cluster
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import Podman

NAME = "lab-auditor"
STRANGER = "198.18.0.190"
VANTAGES = {"everybody": STRANGER, "guests": "198.18.0.60", "voice": "198.18.0.250"}
"""From where each network of docs/architecture.md is looked at; management is the lab's gateway, this machine."""


class Auditor:
    """A stranger's machine; what each tool says is kept in a folder."""

    def __init__(self, cluster: Cluster, podman: Podman, paths: Paths, reports: Path) -> None:
        self.cluster = cluster
        self._podman = podman
        self._paths = paths
        self._reports = reports

    def __enter__(self) -> Self:
        """Start the container; its image is made the first time."""
        image = images.ensure(images.AUDITOR, self._podman, self._paths, print)
        containers.run_plain(self._podman, NAME, STRANGER, image)
        for address in VANTAGES.values():
            if address != STRANGER:
                self._podman("exec", NAME, "ip", "address", "add", f"{address}/32", "dev", "eth0")
        self._reports.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the container."""
        self._podman.remove(NAME)

    def run(self, report: str, *command: str, seconds: float = 600) -> str:
        """Run a tool in the container and return all that it said, which is kept as ``report`` too.

        A tool's exit code tells of its findings, so it is not looked at; a tool that says nothing has failed.
        """
        return self._kept(report, self._podman.command(["exec", NAME, *command]), seconds)

    def run_as_management(self, report: str, *command: str, seconds: float = 600) -> str:
        """Run a tool at the gateway's address, from which alone ops log in."""
        # nmap makes packets of its own
        return self._kept(report, self._podman.command(self._at_the_gateway("NET_RAW", *command)), seconds)

    def forget(self, guest: str, port: int) -> None:
        """Have this machine's kernel forget what came from a TCP port to a guest.

        It may track what crosses the containers' bridge, and remembers each packet that nobody answered for two
        minutes. A few scans would fill its table, and then new connections of all that runs here are lost.
        """
        forget = f"conntrack -D -p tcp --sport {port} -d {self.cluster.address(guest)} 2>&1 >/dev/null"
        said = self._podman(*self._at_the_gateway("NET_ADMIN", "sh", "-c", f"{forget} || true"))
        if "flow entries have been deleted" not in said:
            raise LabError(f"the kernel's table of connections cannot be cleared of a scan of {guest}: {said.strip()}")

    def _at_the_gateway(self, capability: str, *command: str) -> list[str]:
        """Return podman's arguments for a tool in this machine's own network."""
        container = ["run", "--rm", "--network", "host", "--cap-add", capability, *self._podman.limits]
        return [*container, "--label", self._podman.label, images.reference(images.AUDITOR), *command]

    def carry(self, guest: str, paths: Sequence[str], report: str, command: str, *, seconds: float = 900) -> str:
        """Take files of the container to a guest, run a shell command beside them, and leave nothing behind.

        ``paths`` begin at the root, without the slash; ``$place`` is the folder that they are under.
        """
        packed = self._podman("exec", NAME, "sh", "-c", f"tar -C / -cz {shlex.join(paths)} | base64")
        there = (
            "place=$(mktemp -d); trap 'rm -rf $place' EXIT; chmod 755 $place; "
            f"base64 -d | tar -C $place -xz --no-same-owner; cd $place; {command}"
        )
        said = self.cluster.ssh(guest, there, stdin=packed, seconds=seconds)
        (self._reports / report).write_text(said)
        return said

    def write(self, file: str, text: str) -> None:
        """Write a file in the container."""
        self._podman("exec", "--interactive", NAME, "sh", "-c", f"cat > {shlex.quote(file)}", stdin=text)

    def _kept(self, report: str, command: list[str], seconds: float) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{report}: the tool did not end within {seconds:.0f} s") from None
        (self._reports / report).write_text(done.stdout)
        if not done.stdout.strip():
            raise LabError(f"{report}: the tool said nothing (exit code {done.returncode})")
        return done.stdout
