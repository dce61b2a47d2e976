"""Backups that cannot be read are not backups that are not there: no guest is made anew, empty, in their place."""

import dataclasses
import re

import pytest

from lab.proxmox import auth, crm, layout
from lab.proxmox.api.call import METHODS, Call
from lab.proxmox.errors import ApiError
from lab.proxmox.state import Grant
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_failover import quick_nodes
from tests.unit.proxmox.test_operations import Cli, localise, ops, quick

__all__ = ["ops", "quick", "quick_nodes"]
VAULT = layout.Storage("vault", "pbs", frozenset({"backup"}), shared=True, size=1000 * layout.GIB)
FAILOVER = ("failover", "pve1", "--it-is-off")


@pytest.fixture
def vault(ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Give a cluster with pbx01 on its node's own disk, its backup in a vault, and cti01 beside it on a shared one."""
    monkeypatch.setitem(layout.STORAGES, "vault", VAULT)
    localise(stand_in, at_stand_in)
    at_stand_in.settings["proxmox_backup_storage"] = "vault"
    assert ops("migrate", "cti01", "--to", "pve1")[0] == 0
    assert ops("backup", "pbx01")[0] == 0
    stand_in.written()
    return stand_in


def lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.STORAGES, "vault", dataclasses.replace(VAULT, reachable=False))


def break_off(monkeypatch: pytest.MonkeyPatch, reason: str = "storage 'vault' is not online") -> None:
    """Have it break off unnoticed: the list of storages goes on naming it as available for a while."""
    whole = METHODS["GET", "/nodes/{node}/storage/{storage}/content"]

    async def content(call: Call) -> object:
        if call.text("storage") == "vault":
            raise ApiError(500, reason)
        return await whole(call)

    monkeypatch.setitem(METHODS, ("GET", "/nodes/{node}/storage/{storage}/content"), content)


@pytest.mark.parametrize("away", [lock, break_off])
def test_a_guest_whose_backups_are_away_waits_for_them_and_the_others_come_back(
    ops: Cli, vault: StandIn, monkeypatch: pytest.MonkeyPatch, away: object
) -> None:
    assert callable(away)
    vault.lose("pve1")
    before = set(vault.store.cluster.guests)
    with monkeypatch.context() as patch:
        away(patch)
        for check in ((), ("--check",)):
            code, said, wrong = ops(*FAILOVER, *check)
            assert (code, "pbx01: its backups on vault cannot be read (" in wrong) == (1, True), wrong
            assert "pbx01" not in said
        assert (set(vault.store.cluster.guests), vault.machines.running[121]) == (before, True)
    code, said, wrong = ops(*FAILOVER)
    assert (code, "pbx01: newest backup; 9001 on pve" in said) == (0, True), wrong


def test_backups_that_died_with_the_node_are_told_and_given_up_by_a_person_alone(
    ops: Cli, vault: StandIn, at_stand_in: Inventory
) -> None:
    for name in ("pbx01", "cti01"):
        at_stand_in.hosts[name]["proxmox_backup_storage"] = "local"
    at_stand_in.settings["proxmox_backup_storage"] = "shared"
    assert ops("backup", "pbx01")[0] == 0
    for key in [key for key in vault.store.cluster.volumes if "vault:" in key]:
        del vault.store.cluster.volumes[key]
    crm.move(vault.store, vault.store.cluster.guests[9000], "pve2")  # the golden template lives on
    vault.lose("pve1")
    code, _, wrong = ops(*FAILOVER)
    assert (code, "pbx01: its backups on local cannot be read (pve1's own went with it)" in wrong) == (1, True), wrong
    assert 9001 not in vault.store.cluster.guests
    for name in ("pbx01", "cti01", "web01"):
        at_stand_in.hosts[name].pop("proxmox_backup_storage", None)
    del at_stand_in.settings["proxmox_backup_storage"]
    assert "pbx01: made anew from the golden image" in ops(*FAILOVER, "--check")[1]


def without(monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, privilege: str, path: str) -> None:
    """Take a privilege away on a path; the role for schedules would stand in for it."""
    monkeypatch.setitem(auth.PRIVILEGES, auth.SCHEDULES, frozenset())
    monkeypatch.setitem(auth.PRIVILEGES, "Less", auth.PRIVILEGES[auth.ROLE] - {privilege})
    stand_in.store.cluster.grants += [Grant(path, who, "Less") for who in (auth.USER, auth.TOKEN)]


@pytest.mark.parametrize(
    ("privilege", "path", "named"),
    [
        ("VM.Backup", "/vms/101", "/vms/101"),
        ("Datastore.AllocateSpace", "/storage/vault", "/storage/vault"),
        ("Datastore.Audit", "/storage/vault", "/storage/vault"),
        ("VM.Allocate", "/vms", "/vms/<new number>"),
    ],
)
def test_who_may_not_restore_is_told_before_anything_is_begun(
    ops: Cli, vault: StandIn, monkeypatch: pytest.MonkeyPatch, *, privilege: str, path: str, named: str
) -> None:
    """Without VM.Backup the list of backups is empty, and nobody says why."""
    without(monkeypatch, vault, privilege, path)
    for guest in (101, 121, 131, 9000):
        if path == "/vms":
            vault.store.cluster.grants += [Grant(f"/vms/{guest}", who, auth.ROLE) for who in (auth.USER, auth.TOKEN)]
    sentence = f"the token automation@pve!centralino lacks {privilege} on {named}: grant it"
    for command in (("restore", "pbx01"), ("drill", "pbx01")):
        assert sentence in ops(*command)[2]
    vault.lose("pve1")
    code, _, wrong = ops(*FAILOVER)
    assert (code, sentence in wrong) == (1, True), wrong
    assert vault.written() == []


def test_who_comes_back_with_its_disk_needs_no_right_to_restore(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, stand_in, "VM.Backup", "/vms")
    stand_in.lose("pve1")
    code, _, wrong = ops(*FAILOVER)
    assert (code, stand_in.machines.running[101]) == (0, True), wrong


def test_a_restore_says_that_the_storage_is_away_and_not_that_there_is_no_backup(
    ops: Cli, vault: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    del vault
    lock(monkeypatch)
    for command in ("restore", "drill"):
        code, _, wrong = ops(command, "pbx01")
        assert (code, "pbx01: no node that is online can read vault, where its backups are" in wrong) == (1, True)


def test_status_tells_of_a_storage_that_cannot_be_read_and_of_all_else(
    ops: Cli, vault: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server is away, and the node that asks it gets no answer; that is no word about any guest's backups."""
    break_off(monkeypatch, "vault: error fetching datastores - 500 Can't connect to 198.18.0.9:8007")
    vault.machines.running[121] = False
    code, said, _ = ops("status")
    assert (code, "! the backups on vault cannot be read: " in said) == (2, True), said
    assert ("error fetching datastores" in said, "! cti01 (121 on pve1) is stopped" in said) == (True, True)
    assert "has no backup" not in said


def test_status_asks_for_the_backups_of_those_guests_that_shall_have_some(ops: Cli, at_stand_in: Inventory) -> None:
    at_stand_in.hosts["cti01"]["proxmox_backup_storage"] = None
    code, said, _ = ops("status")
    assert (code, re.findall("! (.*) has no backup", said)) == (2, ["pbx01", "web01"]), said
