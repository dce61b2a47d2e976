"""A node dies: what comes back how, what nobody may believe, and that there is never a second copy."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.paths import CHECKOUT
from lab.proxmox import crm
from proxmox import converge, probes, reach
from proxmox.desired import Guest
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli, localise, ops, quick

__all__ = ["ops", "quick"]


@pytest.fixture(autouse=True)
def quick_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cluster notice and act within moments, and let services answer."""
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.failover.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("lab.proxmox.api.backups.BACKUP_SECONDS", 0.05)
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)
    monkeypatch.setattr("lab.proxmox.api.cluster.MOVED_SECONDS", 0.2)
    for name, seconds in (
        ("DEAD_SECONDS", 0.02),
        ("FENCE_SECONDS", 0.2),
        ("ADOPT_SECONDS", 0.1),
        ("LRM_SECONDS", 0.1),
    ):
        monkeypatch.setattr(crm, name, seconds)


def replicate(stand_in: StandIn, target: str) -> None:
    """Have a copy of pbx01's disk on a node."""
    stand_in.store.cluster.replication["101-0"] = {
        "guest": 101, "target": target, "last_sync": int(time.time()) - 600, "image": "copy-of-101",
    }  # fmt: skip


def test_a_guest_on_shared_storage_is_given_to_ha(ops: Cli, stand_in: StandIn) -> None:
    stand_in.lose("pve1")
    stand_in.written()
    code, said, _ = ops("failover", "pve1", "--check")
    assert (code, "its disk is shared: given to HA; 101 on pve" in said) == (2, True)
    assert stand_in.written() == []
    code, said, _ = ops("failover", "pve1", "--it-is-off", "--since", time.strftime("%H:%M:%S"))
    assert code == 0, said
    assert "lost no data (RPO)" in said
    assert "not of this inventory" not in said
    guest = stand_in.store.cluster.guests[101]
    assert guest.node in {"pve2", "pve3"}
    assert stand_in.machines.running[101]
    stand_in.give_back("pve1")
    assert [one.name for one in stand_in.store.cluster.guests.values()].count("pbx01") == 1
    assert ops("failover", "pve1")[2].startswith("proxmox: node pve1 is online")


@pytest.fixture
def late_ha(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have HA act no sooner than somebody waits for it, however slow this machine is."""
    place = converge.place

    def asked(*arguments: Any) -> str | None:
        monkeypatch.setattr(crm, "ADOPT_SECONDS", 0.1)
        return place(*arguments)

    monkeypatch.setattr(crm, "ADOPT_SECONDS", 600)
    monkeypatch.setattr("proxmox.converge.place", asked)


def test_a_guest_under_ha_is_waited_for(ops: Cli, stand_in: StandIn, late_ha: None) -> None:
    del late_ha
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    stand_in.lose("pve1")
    stand_in.written()
    code, said, _ = ops("failover", "pve1", "--it-is-off", "--json")
    (guest,) = json.loads(said)["guests"]
    assert (code, guest["way"], guest["rpo_seconds"]) == (0, "ha", 0.0)
    assert stand_in.written() == []


def test_a_replicated_guest_comes_back_where_its_replica_is(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    localise(stand_in, at_stand_in)
    replicate(stand_in, "pve3")
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--it-is-off", "--json")
    (guest,) = json.loads(said)["guests"]
    assert (code, guest["way"], guest["node"]) == (0, "replica", "pve3")
    assert guest["lost"] == "what came after the last replication, schedule */15"
    assert stand_in.machines.running[101]
    # It is not left where it is for good: what HA had not before it has not afterwards.
    assert (stand_in.store.cluster.ha, stand_in.store.cluster.rules) == ({}, {})
    stand_in.give_back("pve1")
    assert ops("apply", "--move")[0] == 0
    assert stand_in.store.cluster.guests[101].node == "pve1"


def test_a_replicated_guest_that_ha_had_stays_pinned_to_its_replica_and_that_is_said(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, late_ha: None
) -> None:
    """A rule of an earlier failover names a node that has no replica any more."""
    del late_ha
    localise(stand_in, at_stand_in)
    replicate(stand_in, "pve3")
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    stand_in.store.cluster.rules["centralino-101"] = {
        "type": "node-affinity", "resources": "vm:101", "nodes": "pve2", "strict": 1,
    }  # fmt: skip
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--it-is-off")
    assert code == 0, said
    assert "HA keeps it on pve3 (centralino-101): remove that before it goes to another node" in said
    assert stand_in.store.cluster.guests[101].node == "pve3"
    assert stand_in.store.cluster.ha["vm:101"]["state"] == "started"
    assert stand_in.store.cluster.rules["centralino-101"]["nodes"] == "pve3"


def take_over(stand_in: StandIn, files: Inventory) -> Path:
    """Have the inventory name a program that moves configurations, as `ssh root@pve3 mv …` would; return its notes."""
    state = files.secrets / "lab"
    state.mkdir()
    (state / "proxmox").symlink_to(stand_in.folder)
    program, notes = files.secrets / "take", files.secrets / "taken"
    program.write_text(
        f"#!/bin/sh -e\necho $* >>{notes}\nexport CENTRALINO_LAB_STATE={state} CENTRALINO_LAB_PORT={stand_in.port}\n"
        f'cd {CHECKOUT}\nexec {sys.executable} -m lab node take "$3" "$1"\n'
    )
    program.chmod(0o755)
    files.settings["proxmox_takeover_hook"] = ".secrets/take"
    return notes


def test_from_a_backup_it_comes_back_once_whatever_returns(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    """Its number is taken while the node is off; name, card and address stay, and the old copy never starts again."""
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    card = stand_in.store.cluster.guests[101].config["net0"]
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--it-is-off")
    assert code == 0, said
    assert "pbx01: newest backup; 9001 on pve" in said
    assert "set proxmox_vmid to 9001 in cluster/host_vars/pbx01.yml" in said
    twin = stand_in.store.cluster.guests[9001]
    assert (twin.name, twin.config["net0"], twin.config["onboot"]) == ("pbx01", card, 1)
    assert stand_in.machines.running[9001]

    stand_in.give_back("pve1")
    assert not stand_in.machines.running[101]
    at_stand_in.hosts["pbx01"] |= {"proxmox_vmid": 9001, "proxmox_node": twin.node}
    assert "pbx01 exists already as 101 on pve1" in ops("plan")[2]
    assert ops("retire", "101")[0] == 0
    assert ops("plan")[0] == 0


def test_from_a_backup_on_a_nodes_own_storage_it_comes_back_there(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    """No other node sees it, whichever has the more room."""
    at_stand_in.hosts["pbx01"]["proxmox_backup_storage"] = "local"
    localise(stand_in, at_stand_in)
    for name, node in (("cti01", "pve3"), ("pbx01", "pve3")):
        assert ops("migrate", name, "--to", node, "--overcommit")[0] == 0
    assert ops("backup", "pbx01")[0] == 0
    assert ops("migrate", "pbx01", "--to", "pve1")[0] == 0
    stand_in.lose("pve1")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "pbx01: newest backup; 9001 on pve3" in said) == (0, True), wrong


def test_its_new_number_is_none_that_the_inventory_gives_to_a_guest_to_come(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    at_stand_in.hosts["pbx02"] = {"ansible_host": "198.18.0.12", "proxmox_node": "pve2", "proxmox_vmid": 9001}
    at_stand_in.groups["pbx"] = ["pbx01", "pbx02"]
    stand_in.lose("pve1")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "pbx01: newest backup; 9002 on pve" in said) == (0, True), wrong


def test_without_disk_and_backup_it_is_made_anew(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    assert ops("migrate", "pbx01", "--to", "pve2")[0] == 0
    localise(stand_in, at_stand_in)
    at_stand_in.hosts["pbx01"]["proxmox_template_storage"] = "shared"
    at_stand_in.settings["proxmox_template_storage"] = "shared"
    del at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    stand_in.lose("pve2")
    code, said, _ = ops("failover", "pve2", "--it-is-off")
    assert code == 0, said
    assert "made anew from the golden image" in said
    assert "lost all of its data (RPO)" in said
    assert "playbooks/converge.yml --limit pbx01" in said
    assert "not of this inventory and not brought back: cti01 (121)" in said


def test_it_is_made_anew_where_a_template_is_that_lives(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    """Disks on nodes' own storages, so that each node has its template, and the dead one's went with it."""
    at_stand_in.settings |= {
        "proxmox_storage": "local-lvm",
        "proxmox_template_node": "{{ proxmox_node }}",
        "proxmox_template_vmid": "{{ 9010 + proxmox_node[-1] | int }}",
    }
    del at_stand_in.settings["proxmox_backup_storage"], at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    assert ops("template")[0] == 0  # on pve1 and pve3
    localise(stand_in, at_stand_in)
    stand_in.lose("pve1")
    stand_in.written()
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "pbx01: made anew from the golden image; 9014 on pve3" in said) == (0, True), wrong
    assert "POST /nodes/pve3/qemu/9013/clone" in stand_in.written()
    assert stand_in.machines.running[9014]


def test_without_a_template_that_lives_it_waits_for_one(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    localise(stand_in, at_stand_in)
    at_stand_in.settings["proxmox_template_storage"] = "shared"
    del at_stand_in.settings["proxmox_backup_storage"]
    stand_in.lose("pve1")
    stand_in.written()
    wrong = ops("failover", "pve1", "--it-is-off")[2]
    assert "pbx01: it would be made anew, and no golden template that is alive can be cloned" in wrong
    assert stand_in.written() == []


def cut_off(ops: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt a failover of pve1 before it starts anything."""

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("proxmox.failover.converge.converge", cut)
        assert ops("failover", "pve1", "--it-is-off")[0] == 130


def test_a_failover_that_was_cut_off_is_taken_up(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    stand_in.lose("pve1")
    cut_off(ops, monkeypatch)
    code, said, _ = ops("failover", "pve1", "--it-is-off")
    assert code == 0, said
    assert "taken up where an earlier run left it; 9001" in said
    assert [one.name for one in stand_in.store.cluster.guests.values()].count("pbx01") == 2
    assert stand_in.machines.running[9001]


def test_what_was_restored_to_look_into_is_not_taken_for_the_guest(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    assert ops("restore", "pbx01", "--to", "pve2", "--vmid", "777")[0] == 0
    stand_in.lose("pve1")
    code, said, _ = ops("failover", "pve1", "--it-is-off")
    assert code == 0, said
    assert "pbx01: newest backup; 9001 on pve" in said
    assert stand_in.machines.running[9001]
    assert stand_in.store.cluster.guests[9001].config["tags"] == "centralino;pbx"
    assert not stand_in.machines.running.get(777)


def test_a_guest_with_its_address_by_dhcp_is_asked_where_it_is_by_then(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    del at_stand_in.hosts["pbx01"]["ansible_host"]
    at_stand_in.hosts["pbx01"]["proxmox_dhcp"] = True
    asked: list[str] = []

    def questions(guest: Guest) -> tuple[Callable[[], None], ...]:
        return (lambda: asked.append(str(guest.address)),)

    monkeypatch.setattr("proxmox.probes.of_guest", questions)
    monkeypatch.setattr("proxmox.failover.reach", reach.reach)
    monkeypatch.setattr("proxmox.ssh.log_in", lambda *_: None)
    monkeypatch.setattr(reach, "_addresses", lambda *_: ["198.18.0.78"])
    assert ops("apply")[0] == 0
    stand_in.lose("pve1")
    assert ops("failover", "pve1", "--it-is-off")[0] == 0
    assert asked == ["198.18.0.78"]


# --- proof -----------------------------------------------------------------------------------------------------------


def hook(files: Inventory, code: int) -> None:
    program = files.secrets / "prove"
    program.write_text(f"#!/bin/sh\necho $1 >{files.folder}/asked\necho chassis power is on >&2\nexit {code}\n")
    program.chmod(0o755)
    files.settings["proxmox_fence_hook"] = ".secrets/prove"


def test_a_hook_may_say_what_it_says_in_any_encoding(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    stand_in.lose("pve1")
    hook(at_stand_in, 1)
    program = at_stand_in.secrets / "prove"
    program.write_text(program.read_text().replace("echo chassis power is on", "printf 'Netzteil l\\344uft'"))
    assert "does not prove that pve1 is off (Netzteil l\ufffduft)" in ops("failover", "pve1")[2]


def test_nothing_is_begun_without_a_proof(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    stand_in.lose("pve1")
    stand_in.written()
    assert "nobody has proved that pve1 is off" in ops("failover", "pve1")[2]
    hook(at_stand_in, 1)
    wrong = ops("failover", "pve1")[2]
    assert "prove does not prove that pve1 is off (chassis power is on)" in wrong
    assert stand_in.written() == []
    hook(at_stand_in, 0)
    assert ops("failover", "pve1")[0] == 0
    assert (Path(at_stand_in.folder) / "asked").read_text() == "pve1\n"


def test_a_hook_that_is_not_there_and_a_time_that_is_none(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    stand_in.lose("pve1")
    at_stand_in.settings["proxmox_fence_hook"] = "missing"
    assert "proxmox_fence_hook: cluster/missing: " in ops("failover", "pve1")[2]
    assert "--since: noon is no time of day" in ops("failover", "pve1", "--since", "noon")[2]


def test_a_service_that_stays_silent_is_an_error(ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> None:
        raise probes.SilentError("SIP: timed out")

    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (silent,))
    monkeypatch.setattr("proxmox.failover._SERVICE_SECONDS", 0)
    stand_in.lose("pve1")
    code, _, wrong = ops("failover", "pve1", "--it-is-off")
    assert code == 1
    assert "its service does not answer after 0 s (SIP: timed out)" in wrong


# --- probes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[tuple[int, list[bytes]]]:
    """Answer one datagram as a SIP server that refuses."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        link.settimeout(5)

        def serve() -> None:
            text, sender = link.recvfrom(4096)
            heard.append(text)
            link.sendto(b"SIP/2.0 401 Unauthorized\r\n\r\n", sender)

        thread = threading.Thread(target=serve)
        thread.start()
        yield link.getsockname()[1], heard
        thread.join(5)


def test_a_sip_server_that_refuses_is_alive(answering: tuple[int, list[bytes]]) -> None:
    port, heard = answering
    probes.sip("127.0.0.1", port)
    assert heard[0].startswith(f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n".encode())


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_SECONDS", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for probe in (probes.sip, probes.panel, probes.cti):
        with pytest.raises(probes.SilentError):
            probe("127.0.0.1", port)
