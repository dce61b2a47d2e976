"""A lost guest with a replica, and HA's rules: what is left alone, what is changed and told, what a refusal leaves."""

from typing import Any

import pytest

from lab.proxmox.api.call import METHODS, Call
from lab.proxmox.errors import ApiError
from proxmox import adopt, calls
from proxmox.adopt import Bond, Lost
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_failover import late_ha, quick_nodes, replicate
from tests.unit.proxmox.test_operations import Cli, localise, ops, quick

__all__ = ["late_ha", "ops", "quick", "quick_nodes"]


@pytest.fixture
def replicated(stand_in: StandIn, ops: Cli, at_stand_in: Inventory, late_ha: None) -> StandIn:
    """Give a cluster that has pbx01's replica on pve3 and has lost pbx01's node."""
    del ops, late_ha
    localise(stand_in, at_stand_in)
    replicate(stand_in, "pve3")
    stand_in.lose("pve1")
    stand_in.written()
    return stand_in


def bind(stand_in: StandIn, nodes: str, resources: str = "vm:101") -> None:
    """Have HA manage pbx01, with a rule of the operator's."""
    for sid in resources.split(","):
        stand_in.store.cluster.ha[sid] = {"state": "started"}
    stand_in.store.cluster.rules["telephony"] = {
        "type": "node-affinity", "resources": resources, "nodes": nodes, "strict": 1,
    }  # fmt: skip


def test_a_rule_that_names_the_replicas_node_is_left_to_ha(ops: Cli, replicated: StandIn) -> None:
    bind(replicated, "pve1:2,pve3:1")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "HA's rule telephony (pve1:2,pve3:1) has brought it there" in said) == (0, True), wrong
    assert (replicated.store.cluster.guests[101].node, replicated.machines.running[101]) == ("pve3", True)
    assert replicated.written() == []


def test_a_rule_that_names_other_nodes_is_narrowed_and_that_is_told(ops: Cli, replicated: StandIn) -> None:
    bind(replicated, "pve1,pve2")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert code == 0, wrong
    assert "HA's rule telephony named pve1,pve2 and names pve3 alone now: set it back" in said
    assert replicated.store.cluster.guests[101].node == "pve3"
    assert replicated.store.cluster.ha["vm:101"]["state"] == "started"
    assert replicated.written() == ["PUT /cluster/ha/rules/telephony"]


def test_a_rule_that_binds_other_guests_too_is_not_changed_for_one(ops: Cli, replicated: StandIn) -> None:
    bind(replicated, "pve1,pve2", "vm:101,vm:121")
    code, _, wrong = ops("failover", "pve1", "--it-is-off")
    assert code == 1
    assert "HA's rule telephony (pve1,pve2) does not let it start on pve3, where its replica is" in wrong
    assert (replicated.written(), replicated.store.cluster.ha["vm:101"]["state"]) == ([], "started")


@pytest.mark.parametrize("managed", [True, False])
def test_a_refused_rule_leaves_ha_as_it_was(
    ops: Cli, replicated: StandIn, monkeypatch: pytest.MonkeyPatch, managed: bool
) -> None:
    async def refuse(_: Call) -> None:
        raise ApiError(500, "create ha rule failed: unable to write file")

    before: dict[str, Any] = {"vm:101": {"state": "started"}} if managed else {}
    replicated.store.cluster.ha |= before
    with monkeypatch.context() as patch:
        patch.setitem(METHODS, ("POST", "/cluster/ha/rules"), refuse)
        code, _, wrong = ops("failover", "pve1", "--it-is-off")
        assert (code, "unable to write file" in wrong) == (1, True), wrong
        assert replicated.store.cluster.ha == before
    assert ops("failover", "pve1", "--it-is-off")[0] == 0
    assert (replicated.store.cluster.guests[101].node, replicated.machines.running[101]) == ("pve3", True)


def test_a_guest_with_two_replicas_goes_where_one_of_them_is_alive(ops: Cli, replicated: StandIn) -> None:
    job = replicated.store.cluster.replication["101-0"]
    replicated.store.cluster.replication["101-1"] = {**job, "target": "pve1"}
    assert "replicated disk: given to HA on the replica's node; 101 on pve3" in ops("failover", "pve1", "--check")[1]


@pytest.mark.parametrize(
    ("nodes", "chosen"),
    [
        ("pve1,pve2,pve3", {"pve2", "pve3"}),
        ("pve1:3,pve2:1,pve3:2", {"pve3"}),
        ("pve2:0,pve3", {"pve2", "pve3"}),
        ("pve1", set()),
    ],
)
def test_of_a_rules_living_nodes_ha_takes_those_with_the_highest_priority(nodes: str, chosen: set[str]) -> None:
    assert Bond("telephony", nodes).preferred({"pve2", "pve3"}) == chosen


class Older:
    """The API of a Proxmox VE 8.4, which the lab has not: it knows groups, and notes what it is sent."""

    def __init__(self, group: str, nodes: str) -> None:
        self.sent: list[calls.Call] = []
        self._group = {"group": group, "nodes": nodes, "restricted": 1}

    def send(self, call: calls.Call) -> Any:
        if call.method != "GET":
            self.sent.append(call)
        return {
            "/version": {"version": "8.4.14"},
            "/cluster/ha/resources": [{"sid": "vm:101", "state": "started", "group": self._group["group"]}],
            "/cluster/ha/groups": [self._group],
        }.get(call.path)


@pytest.mark.parametrize(
    ("wanted", "group", "nodes", "sent", "note"),
    [
        ("started", "telephony", "pve1:2,pve3:1", [], "HA's group telephony (pve1:2,pve3:1) has brought it there"),
        (
            "started", "telephony", "pve1,pve2",
            [calls.group_ha("centralino-101", "pve3"), calls.set_ha(101, "started", "centralino-101")],
            "HA keeps it on pve3 (centralino-101): remove that before it goes to another node; its group was telephony",
        ),
        (
            None, "", "",
            [calls.group_ha("centralino-101", "pve3"), calls.join_ha(101, "started", "centralino-101")],
            "HA keeps it on pve3 (centralino-101): remove that before it goes to another node",
        ),
    ],
)  # fmt: skip
def test_up_to_8_4_it_is_a_group(wanted: str | None, group: str, nodes: str, sent: list[calls.Call], note: str) -> None:
    api = Older(group, nodes)
    lost = Lost(101, wanted, "pve3", frozenset({"pve3"}), frozenset({"pve2", "pve3"}))
    assert adopt.pin(api, lost) == (note,)  # type: ignore[arg-type]
    assert api.sent == sent


@pytest.mark.parametrize(
    ("wanted", "last"),
    [
        ("disabled", []),
        ("started", [calls.group_ha("centralino-101", "pve1"), calls.set_ha(101, "disabled", "centralino-101")]),
        (None, [calls.group_ha("centralino-101", "pve1"), calls.join_ha(101, "disabled", "centralino-101")]),
    ],
)
def test_up_to_8_4_an_original_is_disabled_within_a_group_of_its_node(
    wanted: str | None, last: list[calls.Call]
) -> None:
    api = Older("telephony", "pve1,pve2")
    adopt.disarm(api, 101, "pve1", wanted)  # type: ignore[arg-type]
    assert api.sent == last
