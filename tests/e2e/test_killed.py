"""A lab whose every process was killed, as by a lack of memory or a log-out, comes back by the same commands."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab import host, namespace, standin
from lab.paths import CHECKOUT, Paths
from lab.podman import Podman
from lab.process import wait_until


def inhabitants() -> list[int]:
    """Return the processes of the labs' mount namespace: its holder and podman's, which watch the containers."""
    return [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/mountinfo") if lives_there(file)]


def lives_there(mounts: Path) -> bool:
    try:
        return f" cgroup2 {namespace.MARK} " in mounts.read_text()
    except OSError:  # it has ended meanwhile
        return False


def play(name: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHECKOUT / ".venv/bin/ansible-playbook"), f"playbooks/{name}.yml"]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.skipif(os.geteuid() != 0 or host.detect().cgroup_v2, reason="podman alone keeps the containers there")
def test_a_lab_whose_every_process_was_killed_comes_back() -> None:
    paths = Paths.default()
    podman = Podman(host.detect(), paths)
    names = [box.name for box in podman.containers().values() if box.running]
    firsts = podman("inspect", "--format", "{{.State.Pid}}", *names).split()
    for pid in [*inhabitants(), *map(int, firsts), *filter(None, [standin.running(paths)])]:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not inhabitants(), seconds=60)
    subprocess.run([CHECKOUT / ".venv/bin/python", "-m", "lab", "up"], cwd=CHECKOUT, check=True, timeout=120)
    assert not (done := play("provision")).returncode, done.stdout
    assert wait_until(lambda: not play("verify").returncode, seconds=60), play("verify").stdout
