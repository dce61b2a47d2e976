"""What the lab finds out about a machine, and what it makes of it."""

import json
import os
import resource
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import host, images, standin
from lab.errors import LabError
from lab.host import Host
from lab.namespace import Namespace
from lab.paths import Paths
from lab.podman import Podman
from lab.process import end, is_alive, read_pid, start_detached, wait_until

V1 = """\
32 24 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw
33 32 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "32 24 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "state", tmp_path / "cache")
    made.make()
    return made


def machine(**changes: bool) -> Host:
    facts = {"root": True, "cgroup_v2": True, "may_raise_limits": True} | changes
    return Host(**facts, files=20000, processes=30000)


@pytest.mark.parametrize(("mounts", "found"), [(V1, False), (V2, True), (V1 + V2, True), ("", False)])
def test_cgroup2_is_recognised_by_its_mount(mounts: str, found: bool) -> None:
    assert host.has_cgroup2(mounts) is found


def test_limits_are_no_higher_than_the_machine_permits() -> None:
    found = host.detect()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert found.may_raise_limits or found.files <= hard


def test_a_machine_with_cgroup2_and_rights_runs_podman_as_it_is(paths: Paths) -> None:
    assert Podman(machine(), paths).command(["ps"]) == ["podman", "ps"]


def test_without_root_podman_runs_through_sudo(paths: Paths) -> None:
    assert Podman(machine(root=False), paths).command(["ps"]) == ["sudo", "-n", "podman", "ps"]


def test_without_sys_resource_a_hook_takes_the_device_filter_away(paths: Paths) -> None:
    command = Podman(machine(may_raise_limits=False), paths).command(["ps"])
    assert command[:2] == ["podman", "--hooks-dir"]
    hook = json.loads(next(Path(command[2]).glob("*.json")).read_text())["hook"]
    given = {"linux": {"resources": {"devices": [{"allow": False}], "pids": {"limit": 1}}}}
    done = subprocess.run(
        [hook["path"], *hook["args"][1:]], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"linux": {"resources": {"pids": {"limit": 1}}}}


def test_a_pid_file_counts_only_for_the_program_it_was_written_for(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert read_pid(tmp_path / "pid", runs="python") == os.getpid()
    assert read_pid(tmp_path / "pid", runs="another program") is None
    assert read_pid(tmp_path / "none", runs="") is None


def test_a_background_process_has_a_session_of_its_own_and_ends_when_told(tmp_path: Path) -> None:
    pid = start_detached([sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log")
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert Path(f"/proc/{pid}/fd/1").readlink() == tmp_path / "log"
    end(pid)
    assert wait_until(lambda: not is_alive(pid), seconds=1)


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"process {os.getpid()}" in standin.who_listens(port)
    assert standin.who_listens(port) == ""


def test_a_taken_port_stops_up_with_the_remedy(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv(standin.PORT_VARIABLE, str(listener.getsockname()[1]))
        with pytest.raises(LabError, match=rf"port \d+ on 127.0.0.1 is taken by .*{os.getpid()}.*CENTRALINO_LAB_PORT"):
            standin.ensure(paths)


def test_too_little_disk_is_said_before_anything_is_made(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "NEEDED_BYTES", 2**60)
    recipe = images.Recipe(name="never", packages=("none",))
    with pytest.raises(LabError, match=r"GB free .* make room there"):
        images._build(recipe, paths.cache / "images" / "never.tar", Podman(machine(), paths), lambda _: None)  # noqa: SLF001


def test_an_images_name_changes_with_its_recipe_and_not_with_the_checkout() -> None:
    recipe = images.Recipe(name="guest", packages=("a",))
    assert images.reference(recipe) == images.reference(images.Recipe(name="guest", packages=("a",)))
    assert images.reference(recipe) != images.reference(images.Recipe(name="guest", packages=("a", "b")))


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
def test_the_namespace_has_cgroup2_leaves_the_machine_alone_and_outlives_its_holder(paths: Paths) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    namespace = Namespace(machine(cgroup_v2=False), paths)
    ask = [*namespace.prefix(), "stat", "--file-system", "--format", "%T", "/sys/fs/cgroup"]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip() == "cgroup2fs"
    assert Path("/proc/self/mountinfo").read_text() == before
    first = namespace.pid
    assert first
    place = Path(f"/proc/{first}/ns/mnt").readlink()
    inside = start_detached([*namespace.prefix(), "sleep", "60"], log=paths.state / "log")
    try:
        assert wait_until(lambda: Path(f"/proc/{inside}/ns/mnt").readlink() == place, seconds=5)
        end(first)
        namespace.prefix()
        assert namespace.pid != first
        assert Path(f"/proc/{namespace.pid}/ns/mnt").readlink() == place
    finally:
        namespace.stop()
        end(inside)


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
def test_two_labs_that_start_in_one_moment_share_one_namespace(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.namespace.MARK", f"centralino-test-{os.getpid()}")  # none is there yet
    labs = [Paths(paths.state / name, paths.cache) for name in ("one", "other")]
    for lab in labs:
        lab.make()
    namespaces = [Namespace(machine(cgroup_v2=False), lab) for lab in labs]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Namespace.prefix, namespaces))
        assert len({Path(f"/proc/{namespace.pid}/ns/mnt").readlink() for namespace in namespaces}) == 1
    finally:
        for namespace in namespaces:
            namespace.stop()
