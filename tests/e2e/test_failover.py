"""The node of pbx01 dies during a call: pbx01 comes back elsewhere as it was, phones register, a call goes through.

Before that, the drill: its backup boots in isolation, beside it.

For this module pbx01 has its disk on its node alone, as on a cluster without shared storage; the lab's inventory is
copied and says so. Afterwards all is as the lab's inventory has it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from proxmoxer import ProxmoxAPI

from lab import host, standin
from lab.cluster import Cluster
from lab.errors import LabError
from lab.paths import CHECKOUT, Paths
from lab.phones.phone import Phone
from lab.podman import GUEST_LABEL, Podman
from lab.process import wait_until
from tests.conftest import LogIn, MakePhone
from tests.e2e.test_call import ROSSI, becomes
from tests.stand_in import end_of

HOME, REPLICA = "pve1", "pve2"
VMID = 101
LOCAL = "local-zfs"
JOB = f"{VMID}-0"
LONGEST = 300.0
"""Seconds after which nobody waits for the first call any more; how long it takes is printed, and is no verdict."""
KEPT, LATE = "/root/failover-kept", "/root/failover-late"
"""Files on pbx01 that were written before it was copied, and after that."""


@dataclass(frozen=True)
class Site:
    """The lab's cluster with pbx01 on a disk of its node's own."""

    cluster: Cluster
    inventory: Path
    api: Any
    podman: Podman
    paths: Paths

    def ops(self, *arguments: str) -> str:
        """Run a command of the provisioner and return what it prints."""
        command = [sys.executable, "-m", "proxmox", *arguments, "-i", str(self.inventory)]
        environment = {**os.environ, "CENTRALINO_LAB_STATE": str(self.paths.state)}
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def takeover(self) -> Path:
        """The inventory's file that names the program for takeovers."""
        return self.inventory / "group_vars/all/takeover.yml"

    def switch(self, power: Literal["lost", "back"]) -> None:
        standin.switch(self.paths, HOME, power)

    def running(self) -> list[int]:
        """Return the numbers of the machines that run with pbx01's address."""
        address = self.cluster.address("pbx01")
        boxes = self.podman.containers(label=GUEST_LABEL).values()
        return [int(box.labels[GUEST_LABEL]) for box in boxes if box.running and box.address == address]

    def where(self, vmid: int) -> str:
        """Return the node that a machine is on."""
        lines = self.api.cluster.resources.get(type="vm")
        return next(str(line["node"]) for line in lines if line["vmid"] == vmid)

    def card(self) -> str:
        """Return the address of pbx01's network card, as the guest sees it."""
        return self.cluster.ssh("pbx01", "cat /sys/class/net/eth0/address").strip()

    def well(self) -> bool:
        """Tell whether no unit of pbx01 has failed and its agent runs."""
        ask = "systemctl list-units --failed --plain --no-legend; systemctl is-active centralino-agent || true"
        return self.cluster.ssh("pbx01", ask) == "active\n"

    def move_disk(self, storage: str) -> None:
        guest = self.api.nodes(HOME).qemu(VMID)
        if not str(guest.config.get()["scsi0"]).startswith(f"{storage}:"):
            assert end_of(self.api, guest.move_disk.post(disk="scsi0", storage=storage, delete=1)) == "OK"

    def bring_home(self) -> None:
        """Have pbx01 as it was, wherever a test has left it that was cut off, or is asked once more."""
        self.switch("back")
        self.takeover.unlink(missing_ok=True)
        if self.running() not in ([], [VMID]):
            drop_the_copy(self)
        if self.where(VMID) != HOME:
            self.ops("apply", "--move")
        for job in self.api.cluster.replication.get():
            self.api.cluster.replication(job["id"]).delete()


@pytest.fixture(scope="module")
def site(cluster: Cluster, inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    paths = Paths.default()
    folder = tmp_path_factory.mktemp("inventories") / "lab"
    shutil.copytree(inventory, folder, ignore=shutil.ignore_patterns(".secrets"))
    (folder / ".secrets").symlink_to(inventory / ".secrets")
    with (folder / "host_vars/pbx01.yml").open("a") as file:
        file.write(f"proxmox_storage: {LOCAL}\nproxmox_template_storage: shared\nproxmox_backup_storage: shared\n")
    root = json.loads((paths.proxmox / "root.json").read_text())
    api = ProxmoxAPI(
        standin.HOST, port=standin.port(), user=root["username"], password=root["password"],
        verify_ssl=str(paths.proxmox / "ca.pem"), timeout=60,
    )  # fmt: skip
    made = Site(cluster, folder, api, Podman(host.detect(), paths), paths)
    made.bring_home()
    made.move_disk(LOCAL)
    yield made
    made.bring_home()
    made.move_disk("shared")
    made.cluster.ssh("pbx01", f"rm -f {KEPT} {LATE}")


def replicate(site: Site) -> None:
    """Have pbx01's disk copied to another node."""
    site.api.cluster.replication.post(id=JOB, type="local", target=REPLICA, schedule="*/15")
    first = wait_until(lambda: bool(site.api.nodes(HOME).replication.get()[0]["last_sync"]), seconds=120, pause=0.2)
    assert first, "the first replication has not come to its end"


def replicate_and_take_over(site: Site) -> None:
    """Have pbx01's disk copied, and a program that makes it the other node's without HA."""
    replicate(site)
    program = site.inventory.parent / "take-over"
    program.write_text(f'#!/bin/sh\ncd {CHECKOUT}\nexec {sys.executable} -m lab node take "$3" "$1"\n')
    program.chmod(0o755)
    site.takeover.write_text("proxmox_takeover_hook: ../take-over\n")


def come_home(site: Site) -> None:
    """Bring pbx01 back from the replica's node, as it runs."""
    site.takeover.unlink(missing_ok=True)
    assert site.where(VMID) == REPLICA
    site.ops("apply", "--move")
    assert site.where(VMID) == HOME
    site.api.cluster.replication(JOB).delete()


def back_up(site: Site) -> None:
    """Take a backup of pbx01."""
    site.ops("backup", "pbx01")


def drop_the_copy(site: Site) -> None:
    """Go on with the machine that returned with its node, in place of the one that a backup became."""
    (copy,) = site.running()
    assert copy != VMID
    site.ops("retire", str(copy))
    site.api.cluster.ha.resources(f"vm:{VMID}").delete()
    site.ops("apply")
    remove_backups(site)


def remove_backups(site: Site) -> None:
    """Remove all backups of pbx01."""
    for archive in site.api.nodes(HOME).storage("shared").content.get(content="backup", vmid=VMID):
        assert end_of(site.api, site.api.nodes(HOME).storage("shared").content(archive["volid"]).delete()) == "OK"


def register(phone: Phone, until: float) -> None:
    """Try again and again, as a desk phone does."""
    while True:
        try:
            phone.register()
        except LabError:
            assert time.monotonic() < until, f"{phone.name} does not get registered"
        else:
            return


@dataclass(frozen=True)
class Way:
    """How pbx01 survives its node."""

    name: str
    """As the provisioner says it."""
    copy: Callable[[Site], None]
    """What is done while all is well."""
    end: Callable[[Site], None]
    """What brings pbx01 home when the node is back."""


BACKUP = Way("newest backup", back_up, drop_the_copy)
REPLICATION = Way("replicated disk: given to HA", replicate, come_home)
TAKEOVER = Way("replicated disk: taken over", replicate_and_take_over, come_home)


@pytest.fixture
def tell(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Print figures, in seconds, whatever pytest captures."""

    def say(what: str, **figures: float) -> None:
        said = {name.replace("_", " "): round(seconds, 1) for name, seconds in figures.items()}
        for name, seconds in said.items():
            record_property(name, seconds)
        with capsys.disabled():
            print(f"\n{what}: " + ", ".join(f"{name} after {seconds} s" for name, seconds in said.items()))  # noqa: T201

    return say


def test_a_drill_boots_the_newest_backup_beside_the_guest(site: Site) -> None:
    boxes, card = site.podman.containers(label=GUEST_LABEL).keys(), site.card()
    back_up(site)
    told = site.ops("drill", "pbx01")
    remove_backups(site)
    assert "booted and answered" in told
    assert site.podman.containers(label=GUEST_LABEL).keys() == boxes
    assert (site.running(), site.card()) == ([VMID], card)


@pytest.mark.parametrize("way", [BACKUP, REPLICATION, TAKEOVER], ids=lambda way: way.copy.__name__)
def test_a_node_dies_during_a_call(
    way: Way, site: Site, make_phone: MakePhone, log_in: LogIn, tell: Callable[..., None]
) -> None:
    accounts = site.cluster.accounts(ROSSI)
    caller, callee = make_phone("caller", accounts["101"]), make_phone("callee", accounts["102"])
    site.bring_home()
    site.cluster.ssh("pbx01", f"rm -f {LATE}; touch {KEPT}; sync")
    way.copy(site)
    site.cluster.ssh("pbx01", f"touch {LATE}; sync")
    card = site.card()
    rossi = log_in("admin@rossi.example")
    for phone, number in ((caller, "101"), (callee, "102")):
        phone.register()
        becomes(rossi, number, "free")
    callee.answer(ring=0)
    caller.call("102", talk=120)
    assert wait_until(lambda: min(caller.received, callee.received) > 30, seconds=30), "audio both ways"
    becomes(rossi, "102", "busy")

    died = time.monotonic()
    since = time.strftime("%H:%M:%S")
    site.switch("lost")
    assert site.running() == []
    silence = caller.received, callee.received
    for phone in (caller, callee):
        phone.stop()
    assert (caller.received, callee.received) == silence
    told = site.ops("failover", HOME, "--it-is-off", "--since", since)
    back = time.monotonic() - died
    for phone in (caller, callee):
        register(phone, died + LONGEST)
    answered, placed = callee.answer(ring=0), caller.call("102", talk=2)
    heard = wait_until(lambda: min(caller.received - silence[0], callee.received - silence[1]) > 0, seconds=30)
    assert heard, "audio both ways"
    through = time.monotonic() - died
    placed.wait()
    answered.wait()
    for number in ("101", "102"):
        becomes(rossi, number, "free")
    green = time.monotonic() - died

    assert min(caller.received - silence[0], callee.received - silence[1]) > 50, "some 66 packets in 2 s"
    assert f"pbx01: {way.name}" in told
    assert through < LONGEST
    (now,) = site.running()
    assert site.where(now) != HOME
    assert site.card() == card
    left = site.cluster.ssh("pbx01", f"ls {KEPT} {LATE} 2>/dev/null || true").split()
    assert left == [KEPT], "it has what it was copied with, and not what was written later"
    assert wait_until(site.well, seconds=120), "all that a boot starts"

    site.switch("back")
    time.sleep(2)
    assert site.running() == [now], "the node must not bring a second copy to life"
    way.end(site)
    assert site.running() == [VMID]
    for phone, number in ((caller, "101"), (callee, "102")):
        register(phone, time.monotonic() + LONGEST)
        becomes(rossi, number, "free")
    tell(f"failover, {way.name}", service_back=back, first_call_through=through, panel_green=green)
