"""Capacity, anti-affinity and the proof that any one node may be lost."""

import dataclasses
import random
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from proxmox import placement, preflight, reach, spare, ssh
from proxmox.placement import Load, Room
from proxmox.sizing import Size
from proxmox.state import Machine, Node
from tests.unit.proxmox.samples import GUEST, NODES, cluster_of, machine_of, state_of

EVERYWHERE = frozenset({"pve1", "pve2", "pve3"})


def load(name: str, memory: int = 4096, group: str = "pbx", candidates: frozenset[str] = EVERYWHERE) -> Load:
    return Load(name, 4, memory, frozenset({group}), candidates)


def rooms(**guests: list[Load]) -> dict[str, Room]:
    """Return nodes of 32 cores and 16 GiB for guests."""
    return {node: Room(32, 16384, loads) for node, loads in guests.items()}


def test_guests_of_a_group_go_to_different_nodes() -> None:
    assert placement.place([load("pbx02")], rooms(pve2=[load("pbx01")], pve3=[load("web01", group="web")])) == {
        "pbx02": "pve3"
    }


def test_a_corner_is_backed_out_of() -> None:
    """The largest guest fits twice, but where it is put first another one then finds no place."""
    lost = [load("big", 8192, "a"), load("picky", 12288, "b", frozenset({"pve2"}))]
    held = rooms(pve2=[], pve3=[load("there", 4096, "c")])
    assert placement.place(lost, held) == {"picky": "pve2", "big": "pve3"}


def test_no_node_is_filled_beyond_what_it_has() -> None:
    assert placement.place([load("a", 12288), load("b", 12288)], rooms(pve1=[])) is None
    assert placement.place([load("a", 16384)], rooms(pve1=[])) == {"a": "pve1"}


def test_a_node_without_guests_may_be_lost() -> None:
    assert placement.shortages(rooms(pve1=[load("a", 16384)], pve2=[])) == []


def test_a_shortage_names_the_guest_and_the_figures() -> None:
    held = rooms(pve1=[load("a", 12288)], pve2=[load("b", 8192, "web")])
    (first, second) = placement.shortages(held)
    assert (first.node, first.guests) == ("pve1", ("a",))
    assert first.reason == "its guests take 12288 MiB, the others have 8192 MiB free"
    assert (second.node, second.guests) == ("pve2", ("b",))


def test_a_guest_whose_storage_is_nowhere_else_is_named() -> None:
    held = rooms(pve1=[load("a", candidates=frozenset({"pve1"}))], pve2=[])
    assert placement.shortages(held)[0].reason == "no other node has the storage and the bridge of a"


@pytest.mark.parametrize("seed", range(20))
def test_every_placement_keeps_the_rules(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    nodes = [f"pve{number}" for number in range(chance.randint(2, 8))]
    lost = [
        load(f"g{number}", chance.choice([1024, 4096, 8192]), chance.choice("abc"), frozenset(nodes))
        for number in range(chance.randint(1, 12))
    ]
    chosen = placement.place(lost, {node: Room(32, 16384) for node in nodes})
    if chosen is None:
        assert sum(one.memory for one in lost) > 16384 or len(nodes) < 3
        return
    assert chosen.keys() == {one.name for one in lost}
    for node in nodes:
        here = [one for one in lost if chosen[one.name] == node]
        assert sum(one.memory for one in here) <= 16384
        for group in "abc":
            everywhere = sum(group in one.groups for one in lost)
            assert sum(group in one.groups for one in here) <= -(-everywhere // len(nodes))


def test_two_hundred_guests_on_twenty_nodes_are_proved_in_a_moment() -> None:
    nodes = [f"pve{number:02}" for number in range(20)]
    held = {node: Room(64, 256 << 10) for node in nodes}
    for number in range(200):
        held[nodes[number % 20]].loads.append(load(f"g{number:03}", 4096, "pbx", frozenset(nodes)))
    assert placement.shortages(held) == []


# --- of a real inventory ---------------------------------------------------------------------------------------------


def twins(*nodes: str) -> list[str]:
    guests = [
        dataclasses.replace(GUEST, name=f"pbx{number:02}", vmid=100 + number, node=node)
        for number, node in enumerate(nodes, 1)
    ]
    return spare.risks(cluster_of(*guests), state_of(*(machine_of(guest) for guest in guests)))


def test_guests_that_are_apart_are_no_risk() -> None:
    assert twins("pve1", "pve2", "pve3") == []


def test_guests_of_a_group_on_one_node_are_named() -> None:
    (sentence,) = twins("pve1", "pve1", "pve2")
    assert sentence.startswith(
        "guests of one function group stand too close: pve1 has 2 of 3 pbx (pbx01, pbx02), at most 1: place them apart"
    )


def test_a_guest_that_no_other_node_can_hold_is_named_with_the_figures() -> None:
    large = dataclasses.replace(GUEST, size=Size(4, 100 << 10, 32))
    state = dataclasses.replace(
        state_of(machine_of(large)), nodes={**NODES, "pve2": Node(True, 32, 64 << 10), "pve3": Node(True, 32, 32 << 10)}
    )
    (sentence,) = spare.risks(cluster_of(large), state)
    assert "the loss of node pve1 would leave pbx01 without a place" in sentence
    assert "pbx01 takes 102400 MiB and the largest of the other nodes has 63488 MiB for guests" in sentence
    assert sentence.endswith("or take the risk with --overcommit")


def test_what_others_run_takes_room_too() -> None:
    other = Machine(555, "pve1", "mail", running=True, memory=125 << 10, cores=4)
    (sentence,) = spare.risks(cluster_of(GUEST), state_of(machine_of(GUEST), other))
    assert "node pve1: its guests (pbx01) take 4096 MiB of memory and it has 1024 MiB for guests" in sentence


def test_a_full_storage_is_named_with_the_figures() -> None:
    state = state_of()
    nearly = {place: dataclasses.replace(one, size=100 << 30, used=80 << 30) for place, one in state.storages.items()}
    (sentence,) = spare.risks(cluster_of(GUEST), dataclasses.replace(state, storages=nearly))
    assert "storage shared: the disks that would come take 32 GiB and 20 GiB are free" in sentence


# --- clashes ---------------------------------------------------------------------------------------------------------


def test_a_card_and_an_address_that_another_machine_has() -> None:
    other = Machine(
        555,
        "pve2",
        "old",
        config={"net0": f"virtio={GUEST.mac.lower()},bridge=vmbr0", "ipconfig0": "ip=198.18.0.11/24,gw=198.18.0.1"},
    )
    card, address = preflight.problems(cluster_of(GUEST), state_of(other))
    assert "the card address 02:00:00:00:00:11 of pbx01 is that of old (555 on pve2)" in card
    assert "the address 198.18.0.11 of pbx01 is that of old (555 on pve2)" in address


def test_no_quorum() -> None:
    off = {**NODES, "pve2": Node(online=False, cores=0, memory=0)}
    state = dataclasses.replace(state_of(machine_of(GUEST)), quorate=False, nodes=off)
    (sentence,) = preflight.problems(cluster_of(GUEST), state)
    assert sentence.startswith("the Proxmox cluster has no quorum (offline: pve2), nothing can be changed on it")


def test_somebody_at_the_address_of_a_guest_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reach, "_KNOCK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        access = dataclasses.replace(GUEST.access, port=listener.getsockname()[1])
        guest = dataclasses.replace(GUEST, access=access, address=IPv4Address("127.0.0.1"))
        (sentence,) = reach.strangers([guest])
        assert "127.0.0.1 answers already though pbx01 does not exist" in sentence
        # Behind another host, whether the inventory says so or this machine's own configuration of ssh.
        (tmp_path / "config").write_text("Host 127.0.0.*\n    ProxyJump bastion\n")
        for arguments in (("-J", "bastion"), ("-Jbastion",), ("-F", str(tmp_path / "config"))):
            behind = dataclasses.replace(guest, access=dataclasses.replace(access, arguments=arguments))
            assert (ssh.proxied(behind), reach.strangers([behind])) == (True, [])
    assert not ssh.proxied(guest)
