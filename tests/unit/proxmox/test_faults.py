"""Things break in the middle of an apply: it says so, and the next run ends in the wanted state, nothing doubled."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lab.proxmox import auth, disks
from lab.proxmox.errors import TaskError
from lab.proxmox.state import Config, Guest, Task
from proxmox import cli
from proxmox.api import Api
from proxmox.calls import Call
from tests.inventory import Inventory
from tests.stand_in import StandIn

Heal = Callable[[], None]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)
    monkeypatch.setattr("lab.proxmox.crm.DEAD_SECONDS", 0.02)
    monkeypatch.setattr("lab.proxmox.crm.GHOST_SECONDS", 0.1)
    # Patience with what does not come back would only make these tests long.
    monkeypatch.setattr("proxmox.api._READ_ATTEMPTS", 2)
    monkeypatch.setattr("proxmox.converge._FAILURES", 1)


def lose_node(stand_in: StandIn) -> Heal:
    stand_in.lose("pve2")
    return lambda: stand_in.give_back("pve2")


def lose_quorum(stand_in: StandIn) -> Heal:
    stand_in.store.cluster.lost |= {"pve2": 0.0, "pve3": 0.0}
    return stand_in.store.cluster.lost.clear


def expire_token(stand_in: StandIn) -> Heal:
    kept = stand_in.store.cluster.secrets.pop(auth.TOKEN)
    return lambda: stand_in.store.cluster.secrets.update({auth.TOKEN: kept})


def fill_disk(_: StandIn) -> Heal:
    whole = disks.clone

    def full(*_: Any, **__: Any) -> None:
        raise TaskError("clone failed: unable to create image: No space left on device")

    disks.clone = full
    return lambda: setattr(disks, "clone", whole)


@pytest.mark.parametrize(
    ("fault", "at", "said"),
    [
        (lose_node, 5, "the node does not answer (595 No route to host)"),
        (lose_node, 9, "the node does not answer (595 No route to host)"),
        (lose_quorum, 4, ""),
        (lose_quorum, 8, ""),
        (expire_token, 6, "refuses the token automation@pve!centralino (no such token"),
        (fill_disk, 3, "No space left on device"),
    ],
)
def test_what_breaks_in_the_middle_is_told_and_taken_up(
    at_stand_in: Inventory,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    fault: Callable[[StandIn], Heal],
    at: int,
    said: str,
) -> None:
    """``at`` is the write after whose answer it breaks: 1 to 3 make the template, then three guests side by side."""
    at_stand_in.write()
    once, sent, heals = Api._once, list[Call](), list[Heal]()  # noqa: SLF001

    def breaking(api: Api, call: Call) -> Any:
        answer = once(api, call)
        if call.method != "GET":
            sent.append(call)
            if len(sent) == at:
                heals.append(fault(stand_in))
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Api, "_once", breaking)
        assert cli.main(["apply", "-i", "cluster"]) == 1
    wrong = capsys.readouterr().err
    assert said in wrong
    assert "Traceback" not in wrong

    heals[0]()
    assert cli.main(["apply", "-i", "cluster"]) == 0, capsys.readouterr().err
    assert cli.main(["plan", "-i", "cluster"]) == 0
    made = Counter(task.type for task in stand_in.store.cluster.tasks if task.exitstatus == "OK")
    assert (made["download"], made["qmcreate"], made["qmtemplate"], made["qmclone"]) == (1, 1, 1, 3)
    assert set(stand_in.store.cluster.guests) == {101, 121, 131, 9000}
    assert all(stand_in.machines.running[vmid] for vmid in (101, 121, 131))


def test_a_console_that_somebody_looks_at_holds_nothing_up(
    at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task runs for as long as the browser's window is open."""
    at_stand_in.write()
    monkeypatch.setattr("proxmox.session.EARLIER_TASKS_SECONDS", 0.3)
    upid = "UPID:pve1:00000001:00000001:69000000:vncproxy:101:root@pam:"
    stand_in.store.cluster.tasks.append(Task(upid, "pve1", "vncproxy", "101", "root@pam", 1, 1, 0x69000000))
    assert cli.main(["apply", "-i", "cluster"]) == 0


def taken(stand_in: StandIn, vmid: int) -> Config:
    """Let somebody make a machine of their own under a number, and return its configuration."""
    theirs: Config = {"name": "mailserver", "cores": 1, "memory": "1024", "scsi0": "local-lvm:8", "tags": "mail",
                      "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "ipconfig0": "ip=dhcp"}  # fmt: skip
    disks.allocate(stand_in.store.cluster, "pve2", vmid, theirs)
    stand_in.store.cluster.guests[vmid] = Guest(vmid, "pve2", theirs, created=0.0)
    return theirs


@pytest.mark.parametrize(
    ("arguments", "vmid", "name"),
    [
        (("apply",), 101, "pbx01"),
        (("apply",), 9000, "centralino-debian-13"),
        (("template",), 9000, "centralino-debian-13"),
        (("clone", "web01", "--as", "pbx01"), 101, "pbx01"),
    ],
)
def test_a_number_that_somebody_takes_meanwhile_is_theirs(
    at_stand_in: Inventory,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    arguments: tuple[str, ...],
    vmid: int,
    name: str,
) -> None:
    """It was free when the plan was made; their machine comes just before the request that would make ours."""
    at_stand_in.write()
    if arguments[0] == "clone":
        assert cli.main(["apply", "-i", "cluster", "--limit", "web01"]) == 0
    once, theirs = Api._once, dict[str, Any]()  # noqa: SLF001

    def overtaken(api: Api, call: Call) -> Any:
        if call.method == "POST" and vmid in (call.data.get("newid"), call.data.get("vmid")) and not theirs:
            made = taken(stand_in, vmid)
            theirs.update(made=made, before=dict(made))
        return once(api, call)

    monkeypatch.setattr(Api, "_once", overtaken)
    stand_in.written()
    assert cli.main([*arguments, "-i", "cluster"]) == 1
    wrong = capsys.readouterr().err
    assert f"{name}: {vmid} is the machine mailserver on pve2 by now, not {name}: somebody else has taken" in wrong
    assert stand_in.store.cluster.guests[vmid].config == theirs["made"] == theirs["before"]
    assert not stand_in.machines.running.get(vmid)
    assert not [request for request in stand_in.written() if f"/qemu/{vmid}/" in request]
