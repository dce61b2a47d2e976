"""The stand-in with real machines: systemd containers from the base image, reached over SSH as the provisioner's are.

Needs root (or sudo without a password) and podman, as the lab does; makes the base image where it is not there yet.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from proxmoxer import ResourceException

from lab import containers, host, images
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import Podman
from lab.process import wait_until
from lab.proxmox.reboots import Reboots
from lab.proxmox.runtime import PodmanRuntime, container_name
from lab.seed import Seed
from tests.stand_in import StandIn, end_of, make_template, standing

TEMPLATE, GUEST, COPY = 990100, 990101, 990102
BESIDE = ("lab-contract-keys", "lab-contract-twin")
ADDRESS, OTHER_ADDRESS = "198.18.0.145", "198.18.0.146"

_BREAKS_OFF = """#!/bin/sh
case " $* " in
    *" delete "*) [ -e {failed} ] || {{ touch {failed}; echo "kill container: No such process" >&2; exit 1; }} ;;
esac
exec crun "$@"
"""


@dataclass
class Lab:
    """The stand-in, its client and podman."""

    podman: Podman
    paths: Paths
    stand_in: StandIn
    api: Any
    key: Path

    def guest(self, vmid: int) -> Any:
        return self.api.nodes("pve1").qemu(vmid)

    def ssh(self, address: str, command: str, user: str = "ops") -> str:
        return subprocess.run(self._ssh(address, command, user), capture_output=True, text=True, check=True).stdout

    def admits(self, address: str) -> bool:
        """Tell whether people may log in: not before it has booted, although the port answers (pam_nologin(8)).

        The port is asked first: of an address that is nobody's, ssh would wait for somebody else's greeting.
        """
        return containers.answers(address, 22) and self._logs_in(address)

    def _logs_in(self, address: str) -> bool:
        return subprocess.run(self._ssh(address, "true"), capture_output=True, check=False).returncode == 0

    def _ssh(self, address: str, command: str, user: str = "ops") -> list[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        target = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-i", str(self.key), f"{user}@{address}"]
        return ["ssh", *options, *target, command]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    host.require_tools()
    paths = Paths.default()
    paths.make()
    podman = Podman(host.detect(), paths)
    images.ensure(images.GUEST, podman, paths, lambda _: None)
    names = [*(container_name(vmid) for vmid in (TEMPLATE, GUEST, COPY)), *BESIDE]  # an interrupted run left some
    containers.remove(podman, paths, *names)
    key = tmp_path_factory.mktemp("ssh") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machines, beside = PodmanRuntime(podman, paths), Reboots(podman)
    with standing(tmp_path_factory.mktemp("proxmox"), machines=machines, beside=beside) as stand_in:
        made = Lab(podman, paths, stand_in, stand_in.client(), key)
        make_template(made.api, TEMPLATE)
        yield made
    containers.remove(podman, paths, *names)


@pytest.fixture(scope="module")
def started(lab: Lab) -> Lab:
    """One guest, cloned, configured by cloud-init's fields alone, and started."""
    assert end_of(lab.api, lab.guest(TEMPLATE).clone.post(newid=GUEST, name="pbx77")) == "OK"
    lab.guest(GUEST).config.put(
        cores=2, memory=1024, ciuser="ops", sshkeys=quote(lab.key.with_suffix(".pub").read_text(), safe=""),
        ipconfig0=f"ip={ADDRESS}/24,gw=198.18.0.1", nameserver="198.18.0.1", searchdomain="lab.example",
    )  # fmt: skip
    assert end_of(lab.api, lab.guest(GUEST).status.start.post()) == "OK"
    assert wait_until(lambda: lab.admits(ADDRESS), seconds=120)
    return lab


def test_the_guest_is_what_cloud_init_was_told(started: Lab) -> None:
    assert started.ssh(ADDRESS, "hostname --fqdn").strip() == "pbx77.lab.example"
    assert started.ssh(ADDRESS, "sudo id --user").strip() == "0"
    assert started.ssh(ADDRESS, "cat /etc/resolv.conf") == "nameserver 198.18.0.1\nsearch lab.example\n"
    with pytest.raises(subprocess.CalledProcessError):
        started.ssh(ADDRESS, "true", user="root")


def test_systemd_runs_without_a_failed_unit(started: Lab) -> None:
    assert started.ssh(ADDRESS, "systemctl is-system-running --wait").strip() == "running"


def test_the_guest_owns_its_name_and_resolver_files(started: Lab) -> None:
    """Podman mounts its own over them; roles rename over these files, which a mount point refuses."""
    started.ssh(
        ADDRESS,
        "for f in hosts hostname resolv.conf; do sudo cp -p /etc/$f /etc/$f.x && sudo mv /etc/$f.x /etc/$f; done",
    )


def test_services_can_be_sandboxed(started: Lab) -> None:
    options = ["ProtectSystem=strict", "PrivateTmp=yes", "PrivateUsers=yes", "DynamicUser=yes", "NoNewPrivileges=yes",
               "ProtectProc=invisible", "SystemCallFilter=@system-service", "PrivateDevices=yes"]  # fmt: skip
    command = f"sudo systemd-run --quiet --wait --pipe {' '.join(f'-p {option}' for option in options)} id --user"
    assert int(started.ssh(ADDRESS, command)) >= 61184  # systemd.exec(5): the range of dynamic users


def test_the_firewall_of_a_guest_is_its_own(started: Lab) -> None:
    started.ssh(ADDRESS, "sudo nft add table inet proof && sudo nft delete table inet proof")


def test_the_agent_tells_what_the_guest_sees(started: Lab) -> None:
    assert started.guest(GUEST).agent.ping.post() == {"result": {}}
    links = started.guest(GUEST).agent("network-get-interfaces").get()["result"]
    card = next(link for link in links if link["name"] == "eth0")
    assert ADDRESS in [address["ip-address"] for address in card["ip-addresses"]]
    assert card["hardware-address"].upper() in started.guest(GUEST).config.get()["net0"]
    assert started.guest(GUEST).agent("get-host-name").get()["result"]["host-name"] == "pbx77"


def test_a_stop_keeps_the_disk_and_pending_hardware_comes_with_the_start(started: Lab) -> None:
    started.ssh(ADDRESS, "echo kept | sudo tee /var/lib/proof")
    started.guest(GUEST).config.put(ipconfig0=f"ip={OTHER_ADDRESS}/24,gw=198.18.0.1")
    for power in ("stop", "start"):
        assert end_of(started.api, started.guest(GUEST).status(power).post()) == "OK"
    assert wait_until(lambda: started.admits(OTHER_ADDRESS), seconds=120)
    assert started.ssh(OTHER_ADDRESS, "cat /var/lib/proof") == "kept\n"
    started.guest(GUEST).config.put(ipconfig0=f"ip={ADDRESS}/24,gw=198.18.0.1")
    assert end_of(started.api, started.guest(GUEST).status.shutdown.post(timeout=30)) == "OK"
    assert started.guest(GUEST).status.current.get()["status"] == "stopped"
    assert end_of(started.api, started.guest(GUEST).status.start.post()) == "OK"
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)


def test_a_crash_shows_in_the_api(started: Lab) -> None:
    assert started.guest(GUEST).status.current.get()["status"] == "running"
    started.podman("kill", container_name(GUEST))
    assert wait_until(lambda: started.guest(GUEST).status.current.get()["status"] == "stopped", seconds=5)
    assert end_of(started.api, started.guest(GUEST).status.start.post()) == "OK"
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)


def test_a_guest_whose_disk_is_being_copied_runs_and_loses_its_power_with_its_node(started: Lab) -> None:
    """Podman holds it meanwhile."""
    started.podman("pause", container_name(GUEST))
    assert started.guest(GUEST).status.current.get()["status"] == "running"
    started.stand_in.lose("pve1")
    assert not containers.answers(ADDRESS, 22)
    started.stand_in.give_back("pve1")
    assert end_of(started.api, started.guest(GUEST).status.start.post()) == "OK"
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)


def test_a_guest_that_reboots_itself_comes_back_and_one_that_powers_off_does_not(started: Lab) -> None:
    before = started.ssh(ADDRESS, "cat /proc/1/stat")
    started.podman("exec", container_name(GUEST), "systemctl", "reboot")
    assert wait_until(lambda: not containers.answers(ADDRESS, 22), seconds=120)
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)
    assert started.ssh(ADDRESS, "cat /proc/1/stat") != before
    started.podman("exec", container_name(GUEST), "systemctl", "poweroff")
    assert wait_until(lambda: started.guest(GUEST).status.current.get()["status"] == "stopped", seconds=30)
    time.sleep(2)
    assert started.guest(GUEST).status.current.get()["status"] == "stopped"
    assert end_of(started.api, started.guest(GUEST).status.start.post()) == "OK"
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)


def test_a_full_clone_copies_the_disk_and_not_the_identity(started: Lab) -> None:
    assert end_of(started.api, started.guest(GUEST).clone.post(newid=COPY, name="pbx78", full=1), seconds=120) == "OK"
    started.guest(COPY).config.put(ipconfig0=f"ip={OTHER_ADDRESS}/24,gw=198.18.0.1")
    assert end_of(started.api, started.guest(COPY).status.start.post()) == "OK"
    assert wait_until(lambda: started.admits(OTHER_ADDRESS), seconds=120)
    assert started.ssh(OTHER_ADDRESS, "cat /var/lib/proof; hostname") == "kept\npbx78\n"
    assert end_of(started.api, started.guest(COPY).status.stop.post()) == "OK"
    assert end_of(started.api, started.guest(COPY).delete()) == "OK"
    assert container_name(COPY) not in started.podman.containers()


def test_an_address_that_is_taken_fails_in_the_task(started: Lab) -> None:
    assert end_of(started.api, started.guest(TEMPLATE).clone.post(newid=COPY, name="twin")) == "OK"
    started.guest(COPY).config.put(ipconfig0=f"ip={ADDRESS}/24,gw=198.18.0.1")
    assert f"cannot have {ADDRESS}" in end_of(started.api, started.guest(COPY).status.start.post())
    assert started.guest(COPY).status.current.get()["status"] == "stopped"
    assert end_of(started.api, started.guest(COPY).delete()) == "OK"


def test_host_keys_are_each_guests_own(started: Lab) -> None:
    name, _ = BESIDE
    machine = containers.Machine(name, OTHER_ADDRESS, "", Seed(name))
    containers.run(started.podman, started.paths, machine, progress=lambda _: None)
    try:
        keys = [_host_key(address) for address in (ADDRESS, OTHER_ADDRESS)]
        assert len(set(keys)) == 2
    finally:
        containers.remove(started.podman, started.paths, name)


def test_a_container_with_a_taken_address_is_refused_and_leaves_nothing(started: Lab) -> None:
    _, name = BESIDE
    machine = containers.Machine(name, ADDRESS, "", Seed("twin"))
    with pytest.raises(LabError, match=f"cannot have {re.escape(ADDRESS)}"):
        containers.run(started.podman, started.paths, machine, progress=lambda _: None)
    assert name not in started.podman.containers()


def test_a_removal_that_the_runtime_breaks_off_is_taken_up_again(lab: Lab, tmp_path: Path) -> None:
    """As crun does where a process ends by itself just before it is killed."""
    name, _ = BESIDE
    failed = tmp_path / "failed"
    runtime = tmp_path / "crun"
    runtime.write_text(_BREAKS_OFF.format(failed=failed))
    runtime.chmod(0o755)
    lab.podman(
        "--runtime", str(runtime),
        "run", "--detach", "--name", name, "--network", "none", *lab.podman.limits, "--label", lab.podman.label,
        images.reference(images.GUEST), "sleep", "infinity",
    )  # fmt: skip
    containers.remove(lab.podman, lab.paths, name)
    assert failed.exists()
    assert name not in lab.podman.containers()


def test_a_replica_and_a_backup_hold_what_the_disk_held_when_they_were_made(
    started: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.proxmox.crm.FENCE_SECONDS", 0.2)
    monkeypatch.setattr("lab.proxmox.crm.ADOPT_SECONDS", 0.1)
    store = started.stand_in.store
    there = started.api.nodes("pve2").qemu(GUEST)
    assert end_of(started.api, started.guest(GUEST).move_disk.post(disk="scsi0", storage="local-zfs", delete=1)) == "OK"
    started.ssh(ADDRESS, "echo copied | sudo tee /var/lib/proof; sync")
    backup = started.api.nodes("pve1").vzdump.post(vmid=GUEST, storage="shared", mode="snapshot")
    assert end_of(started.api, backup, seconds=120) == "OK"
    store.cluster.replication[f"{GUEST}-0"] = {"guest": GUEST, "target": "pve2", "schedule": "yearly"}
    assert wait_until(lambda: bool(store.cluster.replication[f"{GUEST}-0"].get("image")), seconds=120)
    started.ssh(ADDRESS, "echo later | sudo tee /var/lib/proof; sync")
    key = _host_key(ADDRESS)

    started.stand_in.lose("pve1")
    assert not containers.answers(ADDRESS, 22)
    started.api.cluster.ha.resources.post(sid=f"vm:{GUEST}", state="ignored")
    started.api.cluster.ha.rules.post(
        rule="replica", type="node-affinity", resources=f"vm:{GUEST}", nodes="pve2", strict=1
    )
    started.api.cluster.ha.resources(f"vm:{GUEST}").put(state="started")
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)
    assert (started.ssh(ADDRESS, "cat /var/lib/proof"), _host_key(ADDRESS)) == ("copied\n", key)
    started.stand_in.give_back("pve1")
    started.api.cluster.ha.resources(f"vm:{GUEST}").delete()

    assert end_of(started.api, there.status.stop.post()) == "OK"
    (archive,) = started.api.nodes("pve2").storage("shared").content.get(content="backup", vmid=GUEST)
    made = started.api.nodes("pve2").qemu.post(vmid=COPY, archive=archive["volid"], storage="shared", start=1)
    assert end_of(started.api, made, seconds=120) == "OK"
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)
    assert (started.ssh(ADDRESS, "cat /var/lib/proof"), _host_key(ADDRESS)) == ("copied\n", key)
    copy = started.api.nodes("pve2").qemu(COPY)
    assert end_of(started.api, copy.status.stop.post()) == "OK"
    assert end_of(started.api, copy.delete()) == "OK"
    assert end_of(started.api, there.migrate.post(target="pve1")) == "OK"
    assert end_of(started.api, started.guest(GUEST).status.start.post()) == "OK"


def test_a_copy_whose_cable_is_pulled_runs_beside_its_original(started: Lab) -> None:
    """As a drill's copy does: it has the original's address, and nobody hears of it."""
    assert end_of(started.api, started.guest(GUEST).clone.post(newid=COPY, name="pbx77", full=1), seconds=120) == "OK"
    card = started.guest(COPY).config.get()["net0"]
    started.guest(COPY).config.put(net0=f"{card},link_down=1")
    assert end_of(started.api, started.guest(COPY).status.start.post()) == "OK"
    asked = started.guest(COPY).agent("network-get-interfaces")
    assert wait_until(lambda: _answers(asked), seconds=60)
    assert [link["name"] for link in asked.get()["result"]] == ["lo"]
    assert wait_until(lambda: started.admits(ADDRESS), seconds=120)

    started.guest(COPY).config.put(net0=card, delete="ipconfig0")  # the cable is in again; DHCP gives an address
    for power in ("stop", "start"):
        assert end_of(started.api, started.guest(COPY).status(power).post()) == "OK"
    assert wait_until(lambda: _answers(asked), seconds=60)
    links = {link["name"]: link.get("ip-addresses", []) for link in asked.get()["result"]}
    given = next(address["ip-address"] for address in links["eth0"] if address["ip-address-type"] == "ipv4")
    assert given not in ("", ADDRESS)
    assert wait_until(lambda: started.admits(given), seconds=60)
    assert end_of(started.api, started.guest(COPY).status.stop.post()) == "OK"
    assert end_of(started.api, started.guest(COPY).delete()) == "OK"


def test_a_container_removed_by_hand_is_a_lost_disk(started: Lab) -> None:
    """Last: it takes the guest away."""
    containers.remove(started.podman, started.paths, container_name(GUEST))
    time.sleep(0.5)
    assert started.guest(GUEST).status.current.get()["status"] == "stopped"
    assert "was removed by hand" in end_of(started.api, started.guest(GUEST).status.start.post())
    assert end_of(started.api, started.guest(GUEST).delete()) == "OK"


def _answers(question: Any) -> bool:
    try:
        question.get()
    except ResourceException:
        return False
    return True


def _host_key(address: str) -> str:
    done = subprocess.run(["ssh-keyscan", "-t", "ed25519", address], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]
