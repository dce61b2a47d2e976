"""What the cluster cannot give is said before anything is touched."""

import dataclasses

import pytest

from proxmox import preflight
from proxmox.desired import Guest
from proxmox.sizing import Size
from proxmox.state import Machine, Node, State, Storage
from tests.unit.proxmox.samples import GUEST, NODES, TEMPLATE, cluster_of, machine_of, state_of

LOCAL = Storage(frozenset({"images", "import"}), shared=False, available=True)


def with_storage(storage: Storage | None, state: State) -> State:
    storages = {} if storage is None else dict.fromkeys(state.storages, storage)
    return dataclasses.replace(state, storages=storages)


def test_a_cluster_that_fits() -> None:
    assert preflight.problems(cluster_of(GUEST), state_of(template=False)) == []
    assert preflight.problems(cluster_of(GUEST), state_of(machine_of(GUEST))) == []


def changed(**changes: object) -> Guest:
    return dataclasses.replace(GUEST, **changes)  # type: ignore[arg-type]


def without_disk(machine: Machine) -> Machine:
    return dataclasses.replace(machine, config={key: value for key, value in machine.config.items() if key != "scsi0"})


@pytest.mark.parametrize(
    ("guest", "state", "says"),
    [
        (GUEST, state_of(Machine(101, "pve2", "mailserver")), "101 is the machine mailserver on pve2, not pbx01"),
        (GUEST, state_of(Machine(101, "pve2", "pbx01", kind="lxc")), "101 is the container pbx01"),
        (GUEST, state_of(Machine(101, "pve2", "pbx01", template=True)), "101 is the template pbx01"),
        (GUEST, state_of(Machine(101, "pve2", None)), "a machine without a name"),
        (GUEST, state_of(Machine(205, "pve2", "pbx01")), "pbx01 exists already as 205 on pve2"),
        (changed(node="pve9"), state_of(), "pve9 is not a node of the cluster: set one of pve1, pve2, pve3"),
        (changed(bridge="vmbr9"), state_of(), "node pve1 has no bridge vmbr9"),
        (
            changed(storage="ceph"),
            state_of(),
            "node pve1 has no storage ceph: set one with content `images` (it has: shared)",
        ),
        (changed(size=Size(64, 4096, 32)), state_of(), "asks for 64 cores and node pve1 has 32"),
        (changed(size=Size(4, 1 << 20, 32)), state_of(), "asks for 1048576 MiB of memory and node pve1 has 131072"),
        (changed(size=Size(4, 4096, 16)), state_of(machine_of(GUEST)), "disks only grow, set at least 32"),
        (GUEST, state_of(without_disk(machine_of(GUEST))), "has no disk scsi0"),
        (
            GUEST,
            dataclasses.replace(state_of(), nodes=NODES | {"pve1": Node(online=False, cores=8, memory=9999)}),
            "is offline",
        ),
        (changed(node="pve2"), with_storage(LOCAL, state_of()), "cannot be cloned: put it on shared storage"),
        (
            changed(node="pve2", storage="own"),
            dataclasses.replace(state_of(), storages={**state_of().storages, ("pve2", "own"): LOCAL}),
            "clones nothing to another node's own storage, as own of pbx01 on pve2 is: give each node a template",
        ),
        (GUEST, with_storage(Storage(frozenset({"iso"}), True, True), state_of()), "does not take content `images`"),
        (GUEST, with_storage(Storage(frozenset({"images"}), True, False), state_of()), "is not available on node pve1"),
        (GUEST, with_storage(None, state_of(template=False)), "proxmox_image_storage: node pve1 has no storage shared"),
        (
            GUEST,
            state_of(Machine(TEMPLATE.vmid, "pve1", "other"), template=False),
            "proxmox_template_vmid 9000 is the machine other on pve1",
        ),
        (
            GUEST,
            state_of(Machine(TEMPLATE.vmid, "pve1", TEMPLATE.name), template=False),
            "has no disk, its making was cut off: remove it, then run again",
        ),
    ],
)
def test_refuses(guest: Guest, state: State, says: str) -> None:
    problems = preflight.problems(cluster_of(guest), state)
    assert any(says in problem for problem in problems), problems
    assert all(problem.startswith("all.yml: ") for problem in problems)


def test_a_guest_that_is_being_cloned_has_no_name_yet() -> None:
    assert preflight.problems(cluster_of(GUEST), state_of(Machine(101, "pve1", None, config={"lock": "clone"}))) == []


def without(node: str, *machines: Machine, named: frozenset[int] = frozenset({101, 9000})) -> State:
    """Return the cluster with a node offline, whose machines the list knows no more of than their numbers and tags."""
    state = state_of(*machines)
    nodes = {**NODES, node: Node(online=False, cores=0, memory=0)}
    known = {
        vmid: machine if machine.node != node else Machine(vmid, node, None, tags=machine.tags)
        for vmid, machine in state.machines.items()
    }
    return dataclasses.replace(state, nodes=nodes, machines=known, named=named)


ELSEWHERE = dataclasses.replace(GUEST, node="pve3")


def test_a_guest_on_a_dead_node_is_brought_back_and_not_made_again() -> None:
    (problem,) = preflight.problems(
        cluster_of(GUEST), without("pve2", dataclasses.replace(machine_of(GUEST), node="pve2"))
    )
    assert problem.startswith("pbx01 (101) is on node pve2, which is offline: ")
    assert "`python -m proxmox failover pve2` (docs/operations/failover.md)" in problem


def test_a_guest_is_not_made_that_may_lie_on_a_dead_node_under_another_number() -> None:
    ours, theirs = frozenset({"centralino", "pbx"}), frozenset({"mail"})
    (problem,) = preflight.problems(cluster_of(ELSEWHERE), without("pve2", Machine(205, "pve2", "pbx01", tags=ours)))
    assert "pbx01 is not made, because 205 may be it" in problem
    assert preflight.problems(cluster_of(ELSEWHERE), without("pve2", Machine(205, "pve2", "mail", tags=theirs))) == []
    # What another guest of the inventory has is that one's; and one that is there is not made.
    other = Machine(205, "pve2", "cti01", tags=ours)
    named = frozenset({101, 205, 9000})
    assert preflight.problems(cluster_of(ELSEWHERE), without("pve2", other, named=named)) == []
    assert preflight.problems(cluster_of(ELSEWHERE), without("pve2", other, machine_of(ELSEWHERE))) == []


def test_a_name_that_lies_on_a_dead_node_is_not_given_again() -> None:
    lost = Machine(205, "pve2", "pbx01", running=True)
    state = dataclasses.replace(state_of(lost), nodes={**NODES, "pve2": Node(online=False, cores=0, memory=0)})
    (problem,) = preflight.problems(cluster_of(ELSEWHERE), state)
    assert "pbx01 exists already: as 205 it is on node pve2, which is offline" in problem
    assert "set proxmox_vmid" not in problem


def test_a_template_on_a_dead_node_is_in_the_way_of_new_guests_alone() -> None:
    assert preflight.problems(cluster_of(ELSEWHERE), without("pve1", machine_of(ELSEWHERE))) == []
    (problem,) = preflight.problems(cluster_of(ELSEWHERE), without("pve1"))
    assert (
        "template centralino-debian-13 (9000), which pbx01 is cloned from, is on node pve1, which is offline" in problem
    )
