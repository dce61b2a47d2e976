"""The documented role suffices for every command, and none of its privileges can go."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox import auth, crm, layout, rights
from lab.proxmox.errors import ApiError
from lab.proxmox.state import Grant
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli, with_twin

PAGE = Path(__file__).parents[3] / "docs/operations/rights.md"


def documented(role: str = auth.ROLE) -> frozenset[str]:
    """Return the privileges of one of the page's ``pveum role add``."""
    found = re.search(rf'role add {role} --privs "([^"]+)"', PAGE.read_text())
    assert found
    return frozenset(found[1].replace("\\\n", " ").split())


class Watch:
    """Notes each privilege without which a request would have been refused, while all are held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.needed: set[str] = set()
        self.role = documented()
        self._given: Mapping[str, frozenset[str]] = auth.PRIVILEGES
        monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, self.role)
        for module, name in ((auth, "authorise"), (rights, "demand")):
            monkeypatch.setattr(module, name, self.watched(getattr(module, name)))

    def watched(self, check: Callable[..., None]) -> Callable[..., None]:
        def checked(*arguments: Any) -> None:
            check(*arguments)
            for privilege in self.role - self.needed:
                auth.PRIVILEGES[auth.ROLE] = self.role - {privilege}
                try:
                    check(*arguments)
                except ApiError:
                    self.needed.add(privilege)
                finally:
                    auth.PRIVILEGES[auth.ROLE] = self.role

        return checked


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr("proxmox.failover.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    # Of what a second role gives, nothing may stand in for what this one lacks.
    monkeypatch.setitem(auth.PRIVILEGES, auth.SCHEDULES, frozenset())
    for name, seconds in (("FENCE_SECONDS", 0.2), ("ADOPT_SECONDS", 0.1), ("LRM_SECONDS", 0.1)):
        monkeypatch.setattr(crm, name, seconds)
    return Watch(monkeypatch)


@pytest.mark.parametrize("role", [auth.ROLE, auth.ARRIVALS, auth.SCHEDULES])
def test_the_stand_ins_role_is_the_documented_one(role: str) -> None:
    assert auth.PRIVILEGES[role] == documented(role)


def test_the_documented_role_suffices_and_nothing_of_it_can_go(
    watch: Watch, ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    with_twin(at_stand_in)
    for command in (
        ("status",),
        ("clone", "pbx01", "--as", "pbx02"),
        ("migrate", "pbx01", "--to", "pve3"),
        ("evacuate", "pve2"),
        ("backup",),
        ("restore", "pbx01", "--vmid", "777"),
        ("drill", "pbx01"),
    ):
        code, said, wrong = ops(*command)
        assert code in {0, 2}, (command, said, wrong)
    del at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    assert ops("retire", "121")[0] == 0
    node = stand_in.store.cluster.guests[101].node
    stand_in.lose(node)
    assert ops("failover", node, "--it-is-off")[0] == 0
    # Lists are shorter without these, which the next test shows; requests by themselves are not refused.
    assert watch.role - watch.needed == {"Datastore.Audit"}


def test_a_storage_that_may_not_be_seen_is_not_there(
    ops: Cli, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxmox.preflight.lacking", lambda *_: iter(()))
    monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, documented() - {"Datastore.Audit"})
    at_stand_in.hosts["pbx02"] = {"ansible_host": "198.18.0.12", "proxmox_node": "pve2", "proxmox_vmid": 102}
    at_stand_in.groups["pbx"].append("pbx02")
    assert "node pve2 has no storage shared" in ops("plan")[2]


def test_what_is_missing_is_named_before_anything_is_sent(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.written()
    # What only asks a guest's agent, for a better sentence, is not demanded of everybody.
    for privilege in sorted(documented() - {"VM.GuestAgent.Audit"}):
        monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, documented() - {privilege})
        said = ""
        for command in (("apply",), ("migrate", "pbx01", "--to", "pve2"), ("backup",)):
            said += ops(*command, "--check")[2]
            if privilege in said:
                break
        # Without Sys.Audit the cluster refuses to be looked at, and says which privilege that takes.
        name = re.escape(privilege)
        assert re.search(rf"the token \S+ (lacks [^:]*{name}[^:]* on /|may not .*\(/, {name}\))", said), privilege
    assert stand_in.written() == []


def narrowed(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, path: str, privileges: frozenset[str]) -> None:
    """Give the token and its user these privileges, and no other, on a path and below."""
    name = f"Only{path.replace('/', '-')}"
    monkeypatch.setitem(auth.PRIVILEGES, name, privileges)
    stand_in.store.cluster.grants += [Grant(path, who, name) for who in (auth.USER, auth.TOKEN)]


def test_a_guest_is_copied_by_who_may_clone_it(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template's right is not the guest's."""
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    with_twin(at_stand_in)
    for path, lacked in (("/vms", {"VM.Clone"}), ("/vms/9000", set[str]()), ("/vms/101", {"VM.Clone"})):
        narrowed(stand_in, monkeypatch, path, documented() - lacked)
    stand_in.written()
    code, _, wrong = ops("clone", "pbx01", "--as", "pbx02")
    assert (code, stand_in.written()) == (1, [])
    assert "lacks VM.Clone on /vms/101: grant it" in wrong
    assert ops("plan")[0] == 2  # whoever copies no guest needs it on none
    monkeypatch.setitem(auth.PRIVILEGES, "Only-vms-101", documented())
    assert ops("clone", "pbx01", "--as", "pbx02")[0] == 0


@pytest.mark.parametrize("vlan", [None, 7])
def test_a_vnet_is_guarded_by_its_own_zone(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, vlan: int | None
) -> None:
    monkeypatch.setitem(layout.VNETS, "phones", "telephony")
    narrowed(stand_in, monkeypatch, "/sdn", frozenset())
    for name in ("cti01", "web01"):
        del at_stand_in.hosts[name]
    at_stand_in.groups = {"pbx": ["pbx01"]}
    at_stand_in.settings |= {"proxmox_bridge": "phones"} | ({"proxmox_vlan": vlan} if vlan else {})
    del stand_in.store.cluster.guests[101], stand_in.store.cluster.guests[9000]
    stand_in.written()
    code, _, wrong = ops("apply")
    assert (code, stand_in.written()) == (1, [])
    assert "lacks SDN.Use on /sdn/zones/localnetwork/phones" in wrong
    narrowed(stand_in, monkeypatch, "/sdn/zones/telephony", frozenset({"SDN.Use"}))
    code, _, wrong = ops("apply")
    assert code == 0, wrong


def test_the_role_for_schedules_suffices_and_nothing_of_it_can_go(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_stand_in.settings["proxmox_backup_schedule"] = "01:30"
    stand_in.written()
    for privilege in sorted(documented(auth.SCHEDULES)):
        monkeypatch.setitem(auth.PRIVILEGES, auth.SCHEDULES, documented(auth.SCHEDULES) - {privilege})
        assert f"lacks {privilege} on /" in ops("schedule")[2]
        assert stand_in.written() == []
        # The cluster itself refuses it too, so that it is not asked for in vain.
        with monkeypatch.context() as patch:
            patch.setattr("proxmox.preflight.lacking", lambda *_: iter(()))
            assert f", {privilege}))" in ops("schedule")[2]
            stand_in.written()
        assert stand_in.store.cluster.jobs == {}
    monkeypatch.setitem(auth.PRIVILEGES, auth.SCHEDULES, documented(auth.SCHEDULES))
    assert ops("schedule")[0] == 0
    # To look at them takes none of it.
    monkeypatch.setitem(auth.PRIVILEGES, auth.SCHEDULES, frozenset())
    assert "centralino_test_shared: 01:30 to shared" in ops("status")[1]
