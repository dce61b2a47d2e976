"""The same work by the provisioner and by ``community.proxmox`` tasks: how many calls, and how long.

Twelve guests are cloned, configured, grown and started; a plan with nothing left to do proves that both did it. The
playbook is a good one: a host for each guest, all side by side.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox.state import from_json
from lab.proxmox.tasks import Tasks
from proxmox import cli, plan
from proxmox.desired import Guest
from proxmox.state import Machine
from tests import community_proxmox
from tests.benchmarks.proxmox.test_plan_and_apply import AT_ONCE, CLONE_SECONDS, CLONES, say, side_by_side
from tests.inventory import Inventory
from tests.stand_in import StandIn

CHECKOUT = Path(__file__).parents[3]
# A process of its own, as for whoever types it; the machines here have no sshd to wait for, in either way.
APPLY = """
import sys
import proxmox.apply, proxmox.reach
from proxmox import cli
proxmox.apply.reach, proxmox.reach.strangers = lambda *_: None, lambda _: []
sys.exit(cli.main(["apply", "--overcommit", "-i", "cluster"]))
"""


@pytest.fixture
def guests(at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch) -> tuple[Guest, ...]:
    """Give a cluster with a template, whose storage takes four clones at a time, and the guests to be made there."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)
    at_stand_in.hosts = {
        f"pbx{number:02}": {
            "ansible_host": f"198.18.0.{number + 10}",
            "proxmox_node": f"pve{number % 3 + 1}",
            "proxmox_vmid": 100 + number,
        }
        for number in range(1, CLONES + 1)
    }
    at_stand_in.groups = {"pbx": list(at_stand_in.hosts)}
    at_stand_in.write()
    assert cli.main(["template", "-i", "cluster"]) == 0
    monkeypatch.setattr(Tasks, "locked", side_by_side())
    monkeypatch.setattr("lab.proxmox.api.clone.COPY_SECONDS", CLONE_SECONDS)
    return at_stand_in.cluster().guests


def tasks(guest: Guest) -> list[dict[str, Any]]:
    """Return what makes one guest, as a playbook says it."""
    wanted = plan.settings(guest, Machine(guest.vmid, guest.node, guest.name))
    ours = {"name": guest.name, "vmid": guest.vmid, "node": guest.node, "timeout": 300}
    config = {
        "cores": guest.size.cores,
        "sockets": 1,
        "memory": guest.size.memory,
        "cpu": guest.cpu,
        "net": {"net0": wanted["net0"]},
        "ipconfig": {"ipconfig0": wanted["ipconfig0"]},
        "nameservers": [str(server) for server in guest.nameservers],
        "searchdomains": guest.search_domain,
        "ciuser": guest.access.user,
        "sshkeys": guest.access.public_key,
        "agent": wanted["agent"],
        "onboot": True,
        "tags": list(guest.tags),
        "description": wanted["description"],
    }
    source = {"clone": guest.template.name, "vmid": guest.template.vmid, "node": guest.template.node}
    where = {"newid": guest.vmid, "target": guest.node, "storage": guest.storage, "full": True}
    return [
        {"community.proxmox.proxmox_kvm": {**ours, **source, **where}},
        {"community.proxmox.proxmox_kvm": {**ours, **config, "update": True, "update_unsafe": True}},
        {
            "community.proxmox.proxmox_disk": {
                "vmid": guest.vmid, "disk": plan.DISK, "size": f"{guest.size.disk}G", "state": "resized",
            }
        },
        {"community.proxmox.proxmox_kvm": {**ours, "state": "started"}},
    ]  # fmt: skip


def playbook(guests: tuple[Guest, ...], stand_in: StandIn, folder: Path) -> list[str]:
    """Write a playbook with a play for all guests, and return the command that plays it."""
    access = community_proxmox.access(stand_in.folder, stand_in.port)
    hosts = {}
    for guest in guests:
        options = [next(iter(task.values())) | access for task in tasks(guest)]
        hosts[guest.name] = {"options": options}
    steps = [
        {next(iter(task)): f"{{{{ options[{number}] }}}}", "name": f"step {number}"}
        for number, task in enumerate(tasks(guests[0]))
    ]
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (folder / "play.json").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "strategy": "ansible.builtin.free", "tasks": steps}])
    )
    return [community_proxmox.PLAYBOOK, "-i", "hosts.json", "-c", "local", "--forks", str(CLONES), "play.json"]


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return time.perf_counter() - begin


def test_beside_the_modules(
    guests: tuple[Guest, ...], stand_in: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = json.dumps(asdict(stand_in.store.cluster))
    environment = community_proxmox.environment(stand_in.folder, tmp_path) | {"PYTHONPATH": str(CHECKOUT)}

    def measured(work: Callable[[], float]) -> tuple[int, float]:
        stand_in.store.cluster = from_json(json.loads(start))
        stand_in.machines.running.clear()
        stand_in.requests.clear()
        took = work()
        calls = len(stand_in.requests)
        assert cli.main(["plan", "--overcommit", "-i", "cluster"]) == 0, capsys.readouterr().out
        capsys.readouterr()
        return calls, took

    ours = measured(lambda: timed([sys.executable, "-c", APPLY], tmp_path, environment))
    theirs = measured(lambda: timed(playbook(guests, stand_in, tmp_path), tmp_path, environment))
    with capsys.disabled():
        say(
            f"{CLONES} guests cloned, configured, grown and started, {AT_ONCE} clones of {CLONE_SECONDS:.0f} s at "
            "once:\n"
            f"  proxmox apply       {ours[0]:5} calls  {ours[1]:5.1f} s\n"
            f"  community.proxmox   {theirs[0]:5} calls  {theirs[1]:5.1f} s"
        )
    assert ours[0] < theirs[0]
    assert ours[1] < theirs[1]
