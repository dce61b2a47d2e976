"""Backups by hand, what is restored from them, and drills, against the lab's stand-in."""

import dataclasses
from typing import Any

import pytest

from lab.proxmox import crm, disks, layout
from lab.proxmox.state import Guest
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli, add_second_card, ops, quick

__all__ = ["ops", "quick"]


def test_a_backup_is_restored_beside_its_guest_and_never_answers_for_it(ops: Cli, stand_in: StandIn) -> None:
    code, said, _ = ops("backup", "pbx01")
    assert (code, said.startswith("pbx01: shared:backup/vzdump-qemu-101-")) == (0, True)
    code, said, _ = ops("restore", "pbx01", "--to", "pve2")
    assert code == 0
    twin = stand_in.store.cluster.guests[9001]
    original = stand_in.store.cluster.guests[101]
    assert (twin.node, twin.config["onboot"], stand_in.machines.running.get(9001)) == ("pve2", 0, None)
    assert str(twin.config["net0"]) != str(original.config["net0"])
    assert stand_in.machines.running[101]
    assert ops("restore", "pbx01", "--vmid", "101")[2] == "proxmox: --vmid: 101 is taken: name a free number\n"


def test_a_backup_by_hand_removes_no_other(ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the storage keeps by itself: the nightly ones are the schedule's."""
    few = dataclasses.replace(layout.STORAGES["shared"], prune_backups="keep-last=3")
    monkeypatch.setitem(layout.STORAGES, "shared", few)
    assert ops("backup", "pbx01")[0] == 0
    volumes = stand_in.store.cluster.volumes
    (made,) = [volume for volume in volumes.values() if volume.content == "backup"]
    del volumes[f"/{made.volid}"]
    nightly = [
        dataclasses.replace(
            made, volid=made.volid.replace("vzdump-", f"vzdump-{days}-"), created=made.created - days * 86400
        )
        for days in (1, 2, 3)
    ]
    volumes |= {f"/{volume.volid}": volume for volume in nightly}
    assert ops("backup", "pbx01")[0] == 0
    left = {volume.volid for volume in volumes.values() if volume.content == "backup"}
    assert (len(left), left > {volume.volid for volume in nightly}) == (4, True)


def test_one_guest_that_cannot_be_backed_up_is_named_and_the_others_are(ops: Cli, stand_in: StandIn) -> None:
    stand_in.store.cluster.guests[121].config["lock"] = "backup"  # the first one, by somebody else's job
    code, said, wrong = ops("backup")
    assert (code, "cti01: backing up: the task on pve2 failed: VM is locked (backup)" in wrong) == (1, True), wrong
    assert [line.partition(":")[0] for line in said.splitlines()] == ["pbx01", "web01", "changed=true"]


def test_vzdump_that_says_ok_and_does_nothing_is_found_out(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxmox import backups  # noqa: PLC0415

    whole = backups.save

    def moved(opened: Any, found: Any, guest: Any, machine: Any, report: Any) -> Any:
        crm.move(stand_in.store, stand_in.store.cluster.guests[101], "pve2")
        return whole(opened, found, guest, machine, report)

    monkeypatch.setattr(backups, "save", moved)
    assert "took the backup and did nothing, the guest has moved" in ops("backup", "pbx01")[2]


def test_a_drill_proves_the_backup_and_leaves_nothing(ops: Cli, stand_in: StandIn) -> None:
    assert ops("backup", "pbx01")[0] == 0
    before = set(stand_in.store.cluster.guests)
    code, said, _ = ops("drill", "pbx01")
    assert (code, "booted and answered" in said) == (0, True)
    assert set(stand_in.store.cluster.guests) == before
    stand_in.machines.running[101] = True


def test_a_drill_answers_for_its_guest_in_none_of_its_networks(ops: Cli, stand_in: StandIn) -> None:
    add_second_card(stand_in, 101)
    assert ops("backup", "pbx01")[0] == 0
    code, _, wrong = ops("drill", "pbx01")
    assert code == 0, wrong
    assert not stand_in.machines.hardware[9001].connected


def drilled(stand_in: StandIn) -> list[str]:
    """Return the nodes that backups were restored on."""
    return [task.node for task in stand_in.store.cluster.tasks if task.type == "qmrestore"]


def test_a_drill_takes_the_node_with_the_most_room_and_no_room_that_is_promised(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {name: layout.Node(name, node.number, node.address, memory=18 << 30) for name, node in layout.NODES.items()}
    monkeypatch.setattr(layout, "NODES", small)
    theirs = Guest(500, "pve1", {"name": "mailserver", "memory": "8192"}, created=0.0)
    stand_in.store.cluster.guests[500] = theirs
    stand_in.machines.running[500] = True
    assert ops("backup", "pbx01", "web01")[0] == 0
    assert ops("drill", "pbx01")[0] == 0
    assert drilled(stand_in) == ["pve2"]
    stand_in.written()
    code, _, wrong = ops("drill")
    assert (code, stand_in.written()) == (1, [])
    assert "cti01: no backup of it" in wrong
    code, _, wrong = ops("drill", "web01")
    assert (code, stand_in.written()) == (1, [])
    assert "drill of web01: node pve2 has 8192 MiB of memory free and web01 takes 16384: make room" in wrong
    assert ops("drill", "web01", "--overcommit")[0] == 0


def test_a_backup_on_a_nodes_own_storage_is_restored_there_alone(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    at_stand_in.hosts["pbx01"]["proxmox_backup_storage"] = "local"
    assert ops("backup", "pbx01")[0] == 0
    stand_in.written()
    wrong = ops("restore", "pbx01", "--to", "pve2")[2]
    assert "--to: node pve2 does not see local:backup/" in wrong
    assert (wrong.endswith(": name one of pve1\n"), stand_in.written()) == (True, [])
    assert ops("restore", "pbx01", "--to", "pve1")[0] == 0


@pytest.mark.parametrize("command", ["drill", "restore"])
def test_a_copy_goes_to_no_full_storage(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert ops("backup", "pbx01")[0] == 0
    used = disks.used(stand_in.store.cluster, layout.STORAGES["shared"], "pve1")
    nearly = dataclasses.replace(layout.STORAGES["shared"], size=used + (20 << 30))
    monkeypatch.setitem(layout.STORAGES, "shared", nearly)
    stand_in.written()
    code, _, wrong = ops(command, "pbx01")
    assert (code, stand_in.written()) == (1, []), wrong
    assert "storage shared: the disks that would come take 32 GiB and 20 GiB are free: make room" in wrong
    assert ops(command, "pbx01", "--overcommit")[0] == 0


def test_a_drill_that_fails_says_so_and_leaves_nothing(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mute(*_: Any) -> str:
        from lab.errors import LabError  # noqa: PLC0415

        raise LabError("no")

    assert ops("backup", "pbx01")[0] == 0
    before = set(stand_in.store.cluster.guests)
    monkeypatch.setattr("proxmox.backups._DRILL_SECONDS", 0)
    monkeypatch.setattr(stand_in.machines, "ask_agent", mute)
    code, _, wrong = ops("drill", "pbx01")
    assert code == 1
    assert "pbx01: the drill with shared:backup/" in wrong
    assert "agent does not answer" in wrong
    assert set(stand_in.store.cluster.guests) == before


def test_what_a_killed_drill_left_is_swept(ops: Cli, stand_in: StandIn) -> None:
    assert ops("backup", "pbx01")[0] == 0
    assert ops("restore", "pbx01", "--vmid", "777")[0] == 0
    stand_in.store.cluster.guests[777].config["tags"] = "centralino-drill"
    assert ops("drill", "pbx01")[0] == 0
    assert 777 not in stand_in.store.cluster.guests
