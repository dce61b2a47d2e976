"""The documented role suffices for every command, and none of its privileges can go."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox import auth, crm, rights
from lab.proxmox.errors import ApiError
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli

PAGE = Path(__file__).parents[3] / "docs/operations/rights.md"


def documented() -> frozenset[str]:
    """Return the privileges of the page's ``pveum role add``."""
    found = re.search(r'--privs "([^"]+)"', PAGE.read_text())
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
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    for name, seconds in (("FENCE_SECONDS", 0.2), ("ADOPT_SECONDS", 0.1)):
        monkeypatch.setattr(crm, name, seconds)
    return Watch(monkeypatch)


def test_the_stand_ins_role_is_the_documented_one() -> None:
    assert auth.PRIVILEGES[auth.ROLE] == documented()


def test_the_documented_role_suffices_and_nothing_of_it_can_go(
    watch: Watch, ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    for command in (
        ("status",),
        ("migrate", "pbx01", "--to", "pve2"),
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
