"""Moving, copying, retiring and looking, against the lab's stand-in: what happens, and what is refused."""

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from lab.proxmox import crm, disks, layout
from lab.proxmox.state import Grant, Volume
from proxmox import cli, values
from tests.inventory import Inventory
from tests.stand_in import StandIn

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not log in, and let the stand-in take moments."""
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name in ("lab.proxmox.api.migrate.MIGRATION_SECONDS", "lab.proxmox.api.backups.BACKUP_SECONDS"):
        monkeypatch.setattr(name, 0.05)
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)
    monkeypatch.setattr("lab.proxmox.api.cluster.MOVED_SECONDS", 0.3)
    monkeypatch.setattr(crm, "DEAD_SECONDS", 0.05)


@pytest.fixture
def ops(quick: None, at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Give a command line whose cluster stands, with its exit code and what it says."""
    del quick  # asked for, because test modules that import this fixture have not that one

    def run(*arguments: str) -> tuple[int, str, str]:
        at_stand_in.write()
        capsys.readouterr()
        code = cli.main([*arguments, "-i", "cluster"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    at_stand_in.settings["proxmox_backup_storage"] = "shared"
    assert run("apply")[0] == 0
    return run


def guests(stand_in: StandIn) -> dict[str, str]:
    """Return name → node of all guests."""
    return {guest.name: guest.node for guest in stand_in.store.cluster.guests.values() if not guest.is_template}


# --- migrate ---------------------------------------------------------------------------------------------------------


def test_a_guest_is_moved_as_it_runs_and_comes_home(ops: Cli, stand_in: StandIn) -> None:
    stand_in.written()
    assert ops("migrate", "pbx01", "--to", "pve2", "--check")[0] == 2
    assert stand_in.written() == []
    code, said, _ = ops("migrate", "pbx01", "--to", "pve2")
    assert (code, said) == (0, "pbx01 (101) went from pve1 to pve2\nchanged=true\n")
    assert guests(stand_in)["pbx01"] == "pve2"
    assert stand_in.machines.running[101]
    # Left where it is, and told, until somebody asks.
    code, said, _ = ops("plan")
    assert code == 0
    assert "note: runs on pve2, the inventory places it on pve1: left there without --move" in said
    code, said, _ = ops("plan", "--move")
    assert (code, "node         pve2 → pve1" in said) == (2, True)
    assert ops("apply", "--move")[0] == 0
    assert guests(stand_in)["pbx01"] == "pve1"
    assert ops("migrate", "pbx01")[1] == "pbx01 is on pve1 already\nchanged=false\n"


def localise(stand_in: StandIn, files: Inventory, vmid: int = 101) -> None:
    """Put a guest's disks on its node's own storage."""
    guest = stand_in.store.cluster.guests[vmid]
    for volume in list(disks.of_guest(stand_in.store.cluster, guest)):
        disks.remove_volume(stand_in.store.cluster, guest.node, volume.volid)
        volume.volid, volume.node = volume.volid.replace("shared:", "local-lvm:"), guest.node
        stand_in.store.cluster.volumes[f"{guest.node}/{volume.volid}"] = volume
    guest.config |= {
        key: text.replace("shared:", "local-lvm:") for key, text in guest.config.items() if isinstance(text, str)
    }
    files.hosts["pbx01"]["proxmox_storage"] = "local-lvm"


def test_a_guest_with_local_disks_is_moved_with_them(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    localise(stand_in, at_stand_in)
    assert ops("migrate", "pbx01", "--to", "pve3")[0] == 0
    assert "pve3/local-lvm:vm-101-disk-0" in stand_in.store.cluster.volumes


@pytest.mark.parametrize("arguments", [("migrate", "pbx01", "--to", "pve3"), ("evacuate", "pve1"), ("apply", "--move")])
def test_a_disk_goes_to_no_full_storage(
    ops: Cli,
    stand_in: StandIn,
    at_stand_in: Inventory,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: tuple[str, ...],
) -> None:
    """A pool that promises more than it has would stop whoever else is on it."""
    localise(stand_in, at_stand_in)
    if arguments[0] == "apply":
        at_stand_in.hosts["pbx01"]["proxmox_node"], at_stand_in.hosts["web01"]["proxmox_node"] = "pve3", "pve1"
    small = dataclasses.replace(layout.STORAGES["local-lvm"], size=40 << 30)
    monkeypatch.setitem(layout.STORAGES, "local-lvm", small)
    for node in ("pve2", "pve3"):
        theirs = Volume("local-lvm:vm-500-disk-0", node, 20 << 30, "images", "raw", 0.0, 500)
        stand_in.store.cluster.volumes[f"{node}/{theirs.volid}"] = theirs
    stand_in.written()
    code, _, wrong = ops(*arguments)
    assert (code, stand_in.written()) == (1, []), wrong
    assert "the disks that would come take 32 GiB and 20 GiB are free" in wrong
    stand_in.store.cluster.replication["101-0"] = {"guest": 101, "target": "pve2"}
    stand_in.store.cluster.replication["101-1"] = {"guest": 101, "target": "pve3"}
    assert "the disks that would come" not in ops(*arguments, "--check")[2], "its replicas are there"
    stand_in.store.cluster.replication.clear()
    assert ops(*arguments, "--overcommit")[0] == 0


def test_a_migration_under_ha_is_not_believed(ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task is OK in a moment; the guest stays where it was."""
    monkeypatch.setattr("proxmox.converge._ARRIVAL_SECONDS", 1)
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    monkeypatch.setattr("lab.proxmox.api.migrate._migrate", _refuse)
    code, said, wrong = ops("migrate", "pbx01", "--to", "pve2")
    assert (code, "stays on pve1" in said) == (1, True)
    assert "it is still on pve1" in wrong
    assert [task.exitstatus for task in stand_in.store.cluster.tasks if task.type == "hamigrate"] == ["OK"]
    monkeypatch.undo()


async def _refuse(*_: Any, **__: Any) -> None:
    from lab.proxmox.errors import TaskError  # noqa: PLC0415

    raise TaskError("migration aborted: storage 'x' is not available on node 'pve2'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("migrate", "pbx09"), "GUEST: pbx09 is no guest of this inventory: it has cti01, pbx01, web01"),
        (("migrate", "pbx01,web01", "--to", "pve2"), "GUEST: pbx01,web01 is no guest of this inventory"),
        (("restore", ""), "GUEST: an empty name is no guest of this inventory: it has cti01, pbx01, web01"),
        (("drill", ""), "GUEST: an empty name is no guest"),
        (("apply", "--limit", ""), "--limit: an empty name is no guest"),
        (("migrate", "pbx01", "--to", "pve9"), "--to: pve9 is not a node of the cluster: it has pve1, pve2, pve3"),
        (("evacuate", "pve9"), "pve9 is not a node of the cluster"),
        (("retire", "mailserver"), "mailserver: no machine of the cluster has this name"),
        (("retire", "pbx01"), "pbx01 (101 on pve1) is still in the inventory"),
        (("retire", "9000"), "is a template"),
        (("restore", "pbx01"), "pbx01: no backup of it on shared; there is: none"),
        (("restore", "pbx01", "--archive", "shared:x"), "shared:x is no backup"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    ops: Cli, stand_in: StandIn, arguments: tuple[str, ...], said: str
) -> None:
    stand_in.written()
    code, _, wrong = ops(*arguments)
    assert code == 1
    (sentence,) = wrong.splitlines()
    assert sentence.startswith("proxmox: ")
    assert said in sentence
    assert stand_in.written() == []


# --- clone and template ----------------------------------------------------------------------------------------------


def with_twin(files: Inventory) -> None:
    files.hosts["pbx02"] = {"ansible_host": "198.18.0.12", "proxmox_node": "pve2", "proxmox_vmid": 102}
    files.groups["pbx"] = ["pbx01", "pbx02"]


def test_a_twin_has_a_name_a_card_and_an_address_of_its_own(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    with_twin(at_stand_in)
    assert ops("clone", "pbx01", "--as", "pbx02", "--check")[0] == 2
    assert 102 not in stand_in.store.cluster.guests
    code, said, _ = ops("clone", "pbx01", "--as", "pbx02")
    assert code == 0
    assert "pbx02 (102 on pve2) is a copy of pbx01" in said
    original, twin = (stand_in.store.cluster.guests[vmid] for vmid in (101, 102))
    assert (twin.name, twin.node) == ("pbx02", "pve2")
    assert "ip=198.18.0.12/24" in str(twin.config["ipconfig0"])
    assert str(twin.config["net0"]) != str(original.config["net0"])
    assert [task.id for task in stand_in.store.cluster.tasks if task.type == "qmclone"][-1] == "101"
    assert stand_in.machines.running[102]
    assert ops("plan")[0] == 0
    assert "exists already on pve2" in ops("clone", "pbx01", "--as", "pbx02")[2]
    assert "is the guest itself" in ops("clone", "pbx01", "--as", "pbx01")[2]


def test_a_guest_is_cloned_from_where_its_template_is(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    """Somebody has moved it off the node that the inventory names, as for that node's end."""
    crm.move(stand_in.store, stand_in.store.cluster.guests[9000], "pve3")
    with_twin(at_stand_in)
    assert "= template centralino-debian-13 (9000 on pve3)" in ops("plan")[1]
    stand_in.written()
    code, _, wrong = ops("apply")
    assert (code, stand_in.written()[0]) == (0, "POST /nodes/pve3/qemu/9000/clone"), wrong
    assert guests(stand_in)["pbx02"] == "pve2"


def test_a_copy_goes_to_no_other_nodes_own_storage(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxmox refuses that, whatever storage the original is on; on one node it needs no template there."""
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    with_twin(at_stand_in)
    at_stand_in.hosts["pbx02"]["proxmox_storage"] = "local-lvm"
    at_stand_in.settings["proxmox_template_storage"] = "shared"
    stand_in.written()
    wrong = ops("clone", "pbx01", "--as", "pbx02")[2]
    assert (
        "neither from nor to a node's own storage, as local-lvm of pve2 is: set proxmox_node of pbx02 to pve1" in wrong
    )
    assert stand_in.written() == []
    assert ops("migrate", "pbx01", "--to", "pve2", "--overcommit")[0] == 0
    code, _, wrong = ops("clone", "pbx01", "--as", "pbx02", "--overcommit")
    assert (code, guests(stand_in)["pbx02"]) == (0, "pve2"), wrong


def add_second_card(stand_in: StandIn, vmid: int) -> None:
    """Give a guest a card in the phones' own network, which it serves."""
    stand_in.store.cluster.guests[vmid].config |= {
        "net1": "virtio=BC:24:11:00:00:01,bridge=vmbr1,firewall=1",
        "ipconfig1": "ip=10.1.0.1/24",
    }


def test_a_twin_does_not_serve_its_originals_further_networks(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory knows the first card alone; the others' cables are pulled before it first boots."""
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    with_twin(at_stand_in)
    add_second_card(stand_in, 101)
    stand_in.written()
    code, said, _ = ops("clone", "pbx01", "--as", "pbx02")
    assert (code, "    net1: cable pulled and no address, because pbx01 serves that network" in said) == (0, True)
    twin = stand_in.store.cluster.guests[102].config
    card = values.card(str(twin["net1"]))
    assert card.pop("macaddr") != "BC:24:11:00:00:01"
    assert card == {"model": "virtio", "bridge": "vmbr1", "firewall": "1", "link_down": "1"}
    assert "ipconfig1" not in twin
    assert "link_down" not in str(twin["net0"])
    sent = [request.rpartition("/")[2] for request in stand_in.written()]
    assert sent == ["clone", "config", "config", "start"]
    assert ops("plan")[0] == 0


def test_a_new_version_of_the_template_gets_a_number_and_the_old_one_goes(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    at_stand_in.settings["proxmox_template_image_url"] = "https://cloud.example.com/next/debian-13-b.qcow2"
    wrong = ops("plan")[2]
    assert "template centralino-debian-13 (9000) was made from https://cloud.example.com/debian-13.qcow2" in wrong
    at_stand_in.settings["proxmox_template_vmid"] = 9001
    assert ops("template", "--check")[0] == 2
    code, said, _ = ops("template")
    assert code == 0
    assert "(9000 on pve1): old; made from https://cloud.example.com/debian-13.qcow2" in said
    assert "(9001 on pve1): in the inventory; made from https://cloud.example.com/next/debian-13-b.qcow2" in said
    base = next(one for one in stand_in.store.cluster.volumes.values() if "base-9000" in one.volid)
    linked = next(one for one in stand_in.store.cluster.volumes.values() if "vm-101-disk" in one.volid)
    linked.parent = base.volid
    assert "(9000 on pve1): removed: kept: a linked clone stands on it" in ops("template", "--prune")[1]
    linked.parent = ""
    assert ops("template", "--prune", "--check")[0] == 2
    assert "(9000 on pve1): removed: yes" in ops("template", "--prune")[1]
    assert set(stand_in.store.cluster.guests) == {101, 121, 131, 9001}
    assert ops("plan")[0] == 0


def test_an_images_address_may_have_encoded_characters(ops: Cli, at_stand_in: Inventory) -> None:
    at_stand_in.settings |= {
        "proxmox_template_image_url": "https://cloud.example.com/debian%2013/debian-13.qcow2",
        "proxmox_template_vmid": 9001,
    }
    assert ops("template")[0] == 0
    code, _, wrong = ops("plan")
    assert code == 0, wrong


def test_an_image_of_another_version_is_fetched_whatever_has_its_name(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    """By address and checksum: a file that is there was verified by another one, or by none."""

    def images() -> set[str]:
        return {one.volid for one in stand_in.store.cluster.volumes.values() if one.content == "import"}

    (first,) = images()
    at_stand_in.settings |= {"proxmox_template_vmid": 9001, "proxmox_template_image_checksum": f"sha512:{'0' * 128}"}
    assert ops("template")[0] == 0
    (second,) = images() - {first}
    at_stand_in.settings |= {
        "proxmox_template_vmid": 9002,
        "proxmox_template_image_url": "https://cloud.example.com/next/debian-13.qcow2",
    }
    assert ops("template")[0] == 0
    (third,) = images() - {first, second}
    for volume in (first, second, third):
        assert re.fullmatch(r"shared:import/debian-13-[0-9a-f]{8}\.qcow2", volume)
    # What is there of the same version serves again.
    at_stand_in.settings["proxmox_template_vmid"] = 9003
    assert ops("template")[0] == 0
    assert images() == {first, second, third}


# --- evacuate --------------------------------------------------------------------------------------------------------


def test_a_node_is_emptied_of_all_guests(ops: Cli, stand_in: StandIn) -> None:
    """HA's, ours, and those of others; the template stays and is named."""
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    code, said, told = ops("evacuate", "pve1")
    assert code == 0
    assert guests(stand_in)["pbx01"] in {"pve2", "pve3"}
    assert said.endswith("changed=true\n")
    assert "note: centralino-debian-13 (9000): not moved" in told
    assert ops("evacuate", "pve1")[1] == "changed=false\n"


def test_a_node_whose_guests_do_not_fit_elsewhere_is_left_alone(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {name: layout.Node(name, node.number, node.address, memory=18 << 30) for name, node in layout.NODES.items()}
    monkeypatch.setattr(layout, "NODES", small)
    stand_in.written()
    code, _, wrong = ops("evacuate", "pve3")
    assert code == 1
    assert "node pve3 cannot be emptied: " in wrong
    assert "MiB" in wrong
    assert stand_in.written() == []


def test_one_guest_that_cannot_go_is_named_and_the_others_go(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.proxmox.api import migrate  # noqa: PLC0415

    assert ops("migrate", "cti01", "--to", "pve1")[0] == 0
    whole = migrate._migrate  # noqa: SLF001

    async def picky(call: Any, guest: Any, *rest: Any, **more: Any) -> None:
        if guest.name == "cti01":
            await _refuse()
        await whole(call, guest, *rest, **more)

    monkeypatch.setattr(migrate, "_migrate", picky)
    code, said, wrong = ops("evacuate", "pve1")
    assert code == 1
    assert "cti01 (121) stays on pve1" in said
    assert "migration aborted: storage 'x' is not available on node 'pve2' " in wrong
    assert guests(stand_in)["pbx01"] != "pve1"


# --- retire ----------------------------------------------------------------------------------------------------------


def test_a_guest_is_retired_when_it_is_out_of_the_inventory(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    del at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    stand_in.store.cluster.ha["vm:121"] = {"state": "started"}
    stand_in.store.cluster.guests[121].config["protection"] = 1
    assert "is protected" in ops("retire", "cti01")[2]
    stand_in.store.cluster.guests[121].config["protection"] = 0
    assert ops("retire", "cti01", "--check")[0] == 2
    assert 121 in stand_in.store.cluster.guests
    code, said, _ = ops("retire", "cti01")
    assert (code, said) == (0, "cti01 (121 on pve2): removed\nchanged=true\n")
    assert 121 not in stand_in.store.cluster.guests
    assert stand_in.store.cluster.ha == {}
    assert not [key for key in stand_in.store.cluster.volumes if "vm-121" in key]


def test_what_is_not_ours_is_not_retired(ops: Cli, stand_in: StandIn) -> None:
    stand_in.store.cluster.guests[121].config |= {"name": "mail", "tags": "theirs"}
    assert "does not carry the tag `centralino`" in ops("retire", "121")[2]
    assert 121 in stand_in.store.cluster.guests


def test_what_a_backup_holds_is_retired_afterwards(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    """It is not taken out of HA first, to be refused then."""
    del at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    stand_in.store.cluster.ha["vm:121"] = {"state": "started"}
    stand_in.store.cluster.guests[121].config["lock"] = "backup"
    stand_in.written()
    code, _, wrong = ops("retire", "cti01")
    assert (code, "cti01 (121 on pve2) is locked (backup): wait for its task" in wrong) == (1, True), wrong
    assert stand_in.written() == []
    del stand_in.store.cluster.guests[121].config["lock"]
    assert ops("retire", "cti01")[0] == 0


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_of_a_cluster_that_is_well(ops: Cli) -> None:
    assert ops("backup")[0] == 0
    code, said, _ = ops("status")
    assert code == 0, said
    (line,) = [line.split() for line in said.splitlines() if "pbx01" in line]
    assert (line[:5], line[6:]) == (["pbx01", "101", "pve1", "running", "no"], ["s", "none", "no"])
    assert int(line[5]) < 60
    code, said, _ = ops("status", "--json")
    data = json.loads(said)
    assert (data["quorate"], data["faults"], len(data["guests"])) == (True, [], 3)


def test_status_tells_what_somebody_should_look_at(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    del at_stand_in.settings["proxmox_backup_storage"]
    stand_in.store.cluster.guests[101].config["tags"] = "mine"
    stand_in.machines.running[121] = False
    stand_in.store.cluster.lost["pve3"] = 0.0
    code, said, _ = ops("status", "--json")
    data = json.loads(said)
    assert code == 2
    assert data["guests"][1]["drift"] == ["tags: mine, wanted centralino;pbx"]
    assert [guest["state"] for guest in data["guests"]] == ["stopped", "running", "unknown"]
    faults = " / ".join(data["faults"])
    for wanted in ("node pve3 is offline", "cti01 (121 on pve2) is stopped", "web01 (131 on pve3) is unknown"):
        assert wanted in faults


def test_a_guest_that_ha_moved_is_no_drift(ops: Cli, stand_in: StandIn) -> None:
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    assert ops("backup")[0] == 0
    crm.move(stand_in.store, stand_in.store.cluster.guests[101], "pve2")
    code, said, _ = ops("status")
    assert code == 0, said
    assert "note: pbx01 runs on pve2" in said


# --- a cluster that is not whole -------------------------------------------------------------------------------------


def test_a_guest_that_ha_is_to_start_is_waited_for(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that asks HA is OK at once; HA starts the guest in a round of its own."""
    monkeypatch.setattr(crm, "LRM_SECONDS", 1.0)
    stand_in.store.cluster.ha["vm:101"] = {"state": "stopped"}
    stand_in.machines.running[101] = False
    stand_in.written()
    code, said, wrong = ops("apply")
    assert (code, "changed=true" in said) == (0, True), wrong
    assert stand_in.written() == ["POST /nodes/pve1/qemu/101/status/start"]
    assert (stand_in.machines.running[101], stand_in.store.cluster.ha["vm:101"]["state"]) == (True, "started")


def test_ha_that_starts_nothing_is_told(ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crm, "LRM_SECONDS", 600)
    monkeypatch.setattr("proxmox.converge._START_SECONDS", 0.3)
    stand_in.store.cluster.ha["vm:101"] = {"state": "stopped"}
    stand_in.machines.running[101] = False
    code, _, wrong = ops("apply")
    assert (code, "pbx01: HA has not started it" in wrong, "Datacenter, HA" in wrong) == (1, True, True), wrong


def test_without_a_quorum_nothing_is_tried(ops: Cli, stand_in: StandIn) -> None:
    stand_in.store.cluster.lost |= {"pve2": 0.0, "pve3": 0.0}
    stand_in.written()
    for command in (("apply",), ("migrate", "pbx01"), ("evacuate", "pve1"), ("backup",), ("drill",), ("schedule",)):
        code, _, wrong = ops(*command)
        assert (code, "has no quorum (offline: pve2, pve3)" in wrong) == (1, True), wrong
    assert stand_in.written() == []


def test_a_privilege_that_an_operation_needs_is_named(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.proxmox import auth  # noqa: PLC0415

    monkeypatch.setitem(auth.PRIVILEGES, "Less", auth.PRIVILEGES[auth.ROLE] - {"VM.Migrate"})
    stand_in.store.cluster.grants += [Grant("/vms/101", who, "Less") for who in (auth.USER, auth.TOKEN)]
    code, _, wrong = ops("migrate", "pbx01", "--to", "pve2")
    assert code == 1
    assert "the token automation@pve!centralino lacks VM.Migrate on /vms/101: grant it" in wrong


def test_a_dead_nodes_guests_are_not_made_again(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster knows their names for some minutes, then no more than numbers and tags; no advice makes a second."""
    stand_in.lose("pve1")
    for forgotten in (300.0, 0.0):
        monkeypatch.setattr("lab.proxmox.api.cluster.FORGOTTEN_SECONDS", forgotten)
        stand_in.written()
        for command in ("plan", "apply"):
            code, _, wrong = ops(command)
            assert code == 1
            assert "pbx01 (101) is on node pve1, which is offline: " in wrong
            assert "`python -m proxmox failover pve1`" in wrong
            assert ("free number" in wrong, "scsi0" in wrong, "9000" in wrong) == (False, False, False)
        at_stand_in.hosts["pbx01"] |= {"proxmox_vmid": 105, "proxmox_node": "pve2"}
        code, _, wrong = ops("apply", "--limit", "pbx01", "--overcommit")
        assert (code, stand_in.written()) == (1, []), wrong
        assert ("exists already: as 101" if forgotten else "101 may be it") in wrong
        at_stand_in.hosts["pbx01"] |= {"proxmox_vmid": 101, "proxmox_node": "pve1"}
        # The template is on the dead node too, which is nothing to those that are there.
        assert ops("plan", "--limit", "cti01,web01")[0] == 0
