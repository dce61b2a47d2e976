"""A failover that was cut off, run again: HA has moved its guests meanwhile, and none of them is forgotten."""

import asyncio

import pytest

from lab.proxmox import crm
from proxmox import adopt, calls
from proxmox.api import Api
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_failover import quick_nodes, replicate
from tests.unit.proxmox.test_operations import Cli, localise, ops, quick
from tests.unit.proxmox.test_schedule import wait_for

__all__ = ["ops", "quick", "quick_nodes"]
FAILOVER = ("failover", "pve1", "--it-is-off")


@pytest.fixture(autouse=True)
def prompt(quick: None, quick_nodes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the cluster's list know at once where a guest is."""
    del quick, quick_nodes
    monkeypatch.setattr("lab.proxmox.api.cluster.MOVED_SECONDS", 0)


def cut_off_at(ops: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Interrupt a failover where it calls a function."""

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"proxmox.failover.{name}", cut)
        assert ops(*FAILOVER)[0] == 130


@pytest.mark.parametrize("shared", [False, True])
def test_a_guest_that_ha_has_moved_and_not_started_is_waited_for(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    if not shared:
        localise(stand_in, at_stand_in)
        replicate(stand_in, "pve3")
    stand_in.lose("pve1")
    monkeypatch.setattr(crm, "LRM_SECONDS", 1.5)
    cut_off_at(ops, monkeypatch, "adopt.wait")
    wait_for(lambda: stand_in.store.cluster.guests[101].node != "pve1", stand_in.written)
    assert not stand_in.machines.running.get(101)
    code, said, wrong = ops(*FAILOVER)
    assert (code, stand_in.machines.running.get(101)) == (0, True), wrong
    assert f"; 101 on {stand_in.store.cluster.guests[101].node}, answers after" in said
    # What HA had not before, and can have on one node alone, it has not afterwards.
    assert set(stand_in.store.cluster.ha) == ({"vm:101"} if shared else set())
    assert ops(*FAILOVER)[1].endswith("changed=false\n")


@pytest.mark.parametrize("managed", [False, True])
def test_the_original_of_a_copy_stays_on_the_dead_node(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, managed: bool
) -> None:
    """HA recovers what is disabled but bound to no node, to where its disk is not."""
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    if managed:
        monkeypatch.setattr(crm, "ADOPT_SECONDS", 600)
        stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
        stand_in.store.cluster.rules["telephony"] = {
            "type": "node-affinity", "resources": "vm:101,vm:121", "nodes": "pve1,pve2", "strict": 1,
        }  # fmt: skip
    stand_in.lose("pve1")
    cut_off_at(ops, monkeypatch, "converge.converge")
    monkeypatch.setattr(crm, "ADOPT_SECONDS", 0.1)
    cluster = stand_in.store.cluster
    assert cluster.ha["vm:101"]["state"] == "disabled"
    stand_in.run(asyncio.sleep(0.8))
    assert cluster.guests[101].node == "pve1"
    code, said, wrong = ops(*FAILOVER)
    assert (code, "taken up where an earlier run left it; 9001" in said) == (0, True), wrong
    assert (cluster.guests[101].node, cluster.rules["centralino-101"]["nodes"]) == ("pve1", "pve1")
    assert stand_in.machines.running[9001]
    stand_in.give_back("pve1")
    assert not stand_in.machines.running[101]
    at_stand_in.hosts["pbx01"] |= {"proxmox_vmid": 9001, "proxmox_node": cluster.guests[9001].node}
    assert ops("retire", "101")[0] == 0
    assert ("vm:101" in cluster.ha, "centralino-101" in cluster.rules) == (False, False)


@pytest.mark.parametrize("restored", [True, False])
def test_a_guest_whose_original_ha_has_moved_all_the_same_comes_back_as_a_copy(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, restored: bool
) -> None:
    """As after a run of before, that bound it to no node."""

    def unbound(api: Api, vmid: int, *_: object) -> None:
        api.send(calls.join_ha(vmid, "disabled"))

    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    stand_in.lose("pve1")
    with monkeypatch.context() as patch:
        patch.setattr(adopt, "disarm", unbound)
        cut_off_at(ops, monkeypatch, "converge.converge" if restored else "backups.bring_back")
    wait_for(lambda: stand_in.store.cluster.guests[101].node != "pve1", stand_in.written)
    code, said, wrong = ops(*FAILOVER)
    assert code == 0, wrong
    way = "taken up where an earlier run left it" if restored else "newest backup"
    assert f"pbx01: {way}; 9001 on pve" in said
    assert (stand_in.machines.running[9001], stand_in.machines.running[101]) == (True, False)


def test_a_guest_that_stays_down_is_an_error(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    localise(stand_in, at_stand_in)
    replicate(stand_in, "pve3")
    stand_in.lose("pve1")
    monkeypatch.setattr(crm, "LRM_SECONDS", 600)
    cut_off_at(ops, monkeypatch, "adopt.wait")
    wait_for(lambda: stand_in.store.cluster.guests[101].node == "pve3", stand_in.written)
    monkeypatch.setattr("proxmox.adopt._HA_SECONDS", 1)
    code, _, wrong = ops(*FAILOVER)
    assert (code, "HA has not started 101 elsewhere after 1 s" in wrong) == (1, True), wrong
    assert stand_in.store.cluster.ha["vm:101"]["state"] == "started"
