"""A program of the inventory's takes a dead node's guest over: what it saves, and what becomes of it where it fails."""

import json
import time

import pytest

from lab.proxmox import crm, layout
from lab.proxmox.state import Task
from lab.proxmox.tasks import upid
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_failover import cut_off, quick_nodes, replicate, take_over
from tests.unit.proxmox.test_operations import Cli, localise, ops, quick
from tests.unit.proxmox.test_schedule import wait_for

__all__ = ["ops", "quick", "quick_nodes"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_program_that_moves_configurations_saves_the_wait_for_ha(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(crm, "ADOPT_SECONDS", 600)
    if not shared:
        localise(stand_in, at_stand_in)
        replicate(stand_in, "pve3")
    notes = take_over(stand_in, at_stand_in)
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--check")
    way = "its disk is shared: taken over" if shared else "replicated disk: taken over on the replica's node"
    assert (code, f"pbx01: {way}; 101 on pve" in said, notes.exists()) == (2, True, False)
    stand_in.written()
    code, said, _ = ops("failover", "pve1", "--it-is-off", "--json")
    (guest,) = json.loads(said)["guests"]
    assert (code, guest["way"]) == (0, "shared_taken" if shared else "replica_taken")
    assert guest["lost"] == ("no data" if shared else "what came after the last replication, schedule */15")
    node = guest["node"]
    assert notes.read_text() == f"101 pve1 {node}\n"
    assert [line for line in stand_in.written() if "/lab/" not in line] == [f"POST /nodes/{node}/qemu/101/status/start"]
    assert shared or node == "pve3"
    assert (stand_in.store.cluster.guests[101].node, stand_in.machines.running[101]) == (node, True)
    stand_in.give_back("pve1")
    assert ops("apply", "--move")[0] == 0
    assert stand_in.store.cluster.guests[101].node == "pve1"


@pytest.fixture
def failing(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> tuple[Cli, StandIn, Inventory]:
    """Give what a test needs that does not wait for what never arrives."""
    monkeypatch.setattr("proxmox.takeover._ARRIVAL_SECONDS", 0)
    return ops, stand_in, at_stand_in


def test_a_takeover_that_was_cut_off_and_whose_second_node_died_is_that_nodes_failover(
    failing: tuple[Cli, StandIn, Inventory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for on a node that is off, and not taken from one that nobody has proved to be off."""
    five = {**layout.NODES} | {f"pve{number}": layout.Node(f"pve{number}", number, "192.0.2.9") for number in (4, 5)}
    monkeypatch.setattr(layout, "NODES", five)
    monkeypatch.setattr("lab.proxmox.api.cluster.MOVED_SECONDS", 0)
    ops, stand_in, at_stand_in = failing
    notes = take_over(stand_in, at_stand_in)
    stand_in.lose("pve1")
    cut_off(ops, monkeypatch)
    second = stand_in.store.cluster.guests[101].node
    assert second != "pve1"
    stand_in.lose(second)
    for check in ((), ("--check",)):
        code, _, wrong = ops("failover", "pve1", "--it-is-off", *check)
        (sentence,) = [line for line in wrong.splitlines() if line.startswith("proxmox: ")]
        told = f"pbx01: an earlier run took it over to {second}, which is offline by now: `python -m proxmox failover "
        assert (code, sentence) == (1, f"proxmox: {told}{second}` brings it back")
    code, _, wrong = ops("failover", second, "--it-is-off")
    third = stand_in.store.cluster.guests[101].node
    assert (code, third in {"pve1", second}, stand_in.machines.running[101]) == (0, False, True), wrong
    assert notes.read_text() == f"101 pve1 {second}\n101 {second} {third}\n"
    assert [one.name for one in stand_in.store.cluster.guests.values()].count("pbx01") == 1
    # Nothing is left to do for the first node.
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "changed=false" in said) == (0, True), wrong


def test_what_ha_has_is_left_to_it(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    notes = take_over(stand_in, at_stand_in)
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--it-is-off")
    assert (code, "pbx01: HA adopts it" in said, notes.exists()) == (0, True, False)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "echo no route to pve3 >&2; exit 1",
            "does not bring 101 from pve1 to pve2 (no route to pve3): correct it, or ",
        ),
        ("true", "101 is not on pve2 0 s after proxmox_takeover_hook said that all is well"),
        (None, "No such file or directory"),
    ],
)
def test_a_takeover_that_fails_is_one_sentence_and_the_next_run_does_it(
    failing: tuple[Cli, StandIn, Inventory], program: str | None, said: str
) -> None:
    ops, stand_in, at_stand_in = failing
    take_over(stand_in, at_stand_in)
    hook = at_stand_in.secrets / "take"
    good = hook.read_text()
    hook.write_text(f"#!/bin/sh\n{program}\n") if program else hook.unlink()
    stand_in.lose("pve1")
    code, _, wrong = ops("failover", "pve1", "--it-is-off")
    (sentence,) = [line for line in wrong.splitlines() if line.startswith("proxmox: ")]
    assert (code, said in sentence) == (1, True), wrong
    assert stand_in.store.cluster.guests[101].node == "pve1"
    hook.write_text(good)
    hook.chmod(0o755)
    code, _, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, stand_in.machines.running[101]) == (0, True), wrong


@pytest.mark.parametrize("by_hook", [True, False])
def test_a_node_that_dies_during_the_nightly_backup_holds_nothing_up(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, by_hook: bool
) -> None:
    """The dead node's backup has left its lock, others' go on for hours, and a task of it shows as running for ever."""
    if by_hook:
        take_over(stand_in, at_stand_in)
    at_stand_in.settings["proxmox_backup_schedule"] = "01:30"
    assert ops("schedule")[0] == 0
    monkeypatch.setattr("lab.proxmox.api.backups.BACKUP_SECONDS", 600)
    (job,) = stand_in.store.cluster.jobs.values()
    job["since"] = time.time() - 2 * 86400
    wait_for(lambda: stand_in.store.cluster.guests[101].config.get("lock"), stand_in.requests)
    running = Task(upid("pve1", "qmigrate", "101", "root@pam", pid=1, pstart=1, starttime=1), "pve1", "qmigrate", "101",
                   "root@pam", 1, 1, 1)  # fmt: skip
    stand_in.store.cluster.tasks.append(running)
    stand_in.lose("pve1")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "pbx01: its disk is shared: " in said) == (0, True), wrong
    assert "waiting: " not in wrong
    assert stand_in.machines.running[101]
    assert "lock" not in stand_in.store.cluster.guests[101].config
    assert stand_in.store.cluster.guests[121].config["lock"] == "backup"
