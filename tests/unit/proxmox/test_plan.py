"""The plan: what is missing is made, what differs is changed, what is as wanted is left alone."""

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxmox import plan, values
from proxmox.desired import DESCRIPTION
from proxmox.plan import Action, Step
from proxmox.sizing import Size
from proxmox.state import Machine, Node
from tests.unit.proxmox.samples import GUEST, NODES, TEMPLATE, cluster_of, machine_of, state_of


def actions(steps: tuple[Step, ...]) -> list[str]:
    return [step.action.value for step in steps]


def data(steps: tuple[Step, ...], action: Action) -> dict[str, Any]:
    return next(dict(step.call.data) for step in steps if step.action is action and step.call)


def test_nothing_to_do() -> None:
    found = plan.build(cluster_of(GUEST), state_of(machine_of(GUEST)))
    assert found.empty
    assert [work.name for work in found.works] == [TEMPLATE.name, GUEST.name]


def test_from_nothing() -> None:
    found = plan.build(cluster_of(GUEST), state_of(template=False))
    template, guest = found.works
    assert actions(template.steps) == ["download", "create", "convert"]
    assert actions(guest.steps) == ["clone", "configure", "resize", "start"]
    assert "target" not in data(guest.steps, Action.CLONE)
    assert data(guest.steps, Action.CLONE)["full"] == 1


def test_image_that_is_there_is_not_fetched_again() -> None:
    assert actions(plan.template_steps(TEMPLATE, None, has_image=True)) == ["create", "convert"]


def test_clone_to_another_node() -> None:
    steps = plan.guest_steps(dataclasses.replace(GUEST, node="pve3"), None)
    assert data(steps, Action.CLONE)["target"] == "pve3"


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        ("cores", 2, {"cores": 4}),
        ("memory", "2048", {"memory": "4096"}),
        ("sockets", 2, {"sockets": 1}),
        ("tags", "centralino", {"tags": "centralino;pbx"}),
        ("ipconfig0", "ip=198.18.0.12/24,gw=198.18.0.1", {"ipconfig0": "ip=198.18.0.11/24,gw=198.18.0.1"}),
        ("onboot", 0, {"onboot": 1}),
        ("description", "", {"description": DESCRIPTION}),
        ("net0", "virtio=02:00:00:00:00:11,bridge=vmbr7", {"net0": "virtio=02:00:00:00:00:11,bridge=vmbr0"}),
        ("net0", "virtio=02:00:00:00:00:11,bridge=vmbr0,tag=9", {"net0": "virtio=02:00:00:00:00:11,bridge=vmbr0"}),
    ],
)
def test_one_difference_is_one_change(key: str, found: object, expected: dict[str, Any]) -> None:
    steps = plan.guest_steps(GUEST, machine_of(GUEST, **{key: found}))
    assert actions(steps) == ["configure"]
    assert data(steps, Action.CONFIGURE) == {**expected, "digest": "0" * 40}


@pytest.mark.parametrize(("key", "late"), [("cores", True), ("ipconfig0", True), ("tags", False), ("onboot", False)])
def test_says_what_waits_for_a_restart(key: str, late: bool) -> None:
    running = machine_of(GUEST, **{key: "0"})
    assert (key in plan.guest_steps(GUEST, running)[0].note) is late
    assert not plan.guest_steps(GUEST, dataclasses.replace(running, running=False))[0].note


def test_running_guest_keeps_its_card_address() -> None:
    other = "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,firewall=1"
    running = machine_of(GUEST, net0=other)
    assert plan.guest_steps(GUEST, running) == ()
    stopped = plan.guest_steps(GUEST, dataclasses.replace(running, running=False))
    assert data(stopped, Action.CONFIGURE)["net0"] == "virtio=02:00:00:00:00:11,bridge=vmbr0,firewall=1"
    named = dataclasses.replace(GUEST, mac_is_set=True)
    assert actions(plan.guest_steps(named, running)) == ["configure"]


def test_disk_only_grows() -> None:
    grown = dataclasses.replace(GUEST, size=Size(4, 4096, 64))
    steps = plan.guest_steps(grown, machine_of(GUEST))
    assert actions(steps) == ["resize"]
    assert data(steps, Action.RESIZE) == {"disk": "scsi0", "size": "64G"}
    assert plan.guest_steps(GUEST, machine_of(grown)) == ()


def test_stopped_guest_is_started() -> None:
    assert actions(plan.guest_steps(GUEST, dataclasses.replace(machine_of(GUEST), running=False))) == ["start"]


def test_locked_guest_is_waited_for_only_with_reason() -> None:
    assert actions(plan.guest_steps(GUEST, machine_of(GUEST, lock="clone", cores=1))) == ["wait"]
    assert plan.guest_steps(GUEST, machine_of(GUEST, lock="backup")) == ()


def test_template_that_was_cut_off() -> None:
    machine = Machine(TEMPLATE.vmid, "pve1", TEMPLATE.name, config={"scsi0": "shared:vm-9000-disk-0,size=3G"})
    assert actions(plan.template_steps(TEMPLATE, machine, has_image=False)) == ["convert"]
    locked = dataclasses.replace(machine, config={"lock": "create"})
    assert actions(plan.template_steps(TEMPLATE, locked, has_image=False)) == ["wait"]


def test_guest_that_was_moved_is_no_drift() -> None:
    found = plan.build(cluster_of(GUEST), state_of(dataclasses.replace(machine_of(GUEST), node="pve3")))
    assert found.empty
    assert "left there without --move" in found.works[1].notes[0]


def test_what_is_on_a_dead_node_is_left_as_it_is() -> None:
    """Its configuration was not read, and is no reason to change it."""
    machines = {vmid: Machine(vmid, "pve1", None) for vmid in (GUEST.vmid, TEMPLATE.vmid)}
    nodes = {**NODES, "pve1": Node(online=False, cores=0, memory=0)}
    found = plan.build(cluster_of(GUEST), dataclasses.replace(state_of(), nodes=nodes, machines=machines), move=True)
    assert found.empty
    assert {work.notes for work in found.works} == {("its node pve1 is offline: left as it is",)}


CONFIGS = st.fixed_dictionaries(
    {"scsi0": st.integers(1, 64).map("shared:vm-101-disk-0,size={}G".format)},
    optional={
        "cores": st.integers(1, 8),
        "sockets": st.integers(1, 2),
        "memory": st.integers(512, 8192).map(str),
        "net0": st.sampled_from(
            ["virtio=BC:24:11:AA:BB:CC,bridge=vmbr1,tag=3", "e1000=BC:24:11:AA:BB:CC,bridge=vmbr0"]
        ),
        "tags": st.sampled_from(["", "pbx;centralino", "x"]),
        "onboot": st.sampled_from([0, 1]),
        "agent": st.sampled_from(["0", "1", "enabled=1"]),
        "sshkeys": st.sampled_from(["", "ssh-rsa%20AAAA"]),
        "digest": st.just("f" * 40),
    },
)


@given(config=CONFIGS, running=st.booleans())
def test_carrying_it_out_leaves_nothing_to_do(config: dict[str, Any], running: bool) -> None:
    """Whatever is found, one round of steps is enough; and looking changes nothing."""
    machine = Machine(GUEST.vmid, "pve2", GUEST.name, running=running, config=config)
    before = copy.deepcopy(machine)
    steps = plan.guest_steps(GUEST, machine)
    assert machine == before
    assert steps == plan.guest_steps(GUEST, machine)

    after = dict(config)
    for step in steps:
        assert step.call is not None
        if step.action is Action.CONFIGURE:
            after |= {key: value for key, value in step.call.data.items() if key != "digest"}
        elif step.action is Action.RESIZE:
            after["scsi0"] = f"shared:vm-101-disk-0,size={step.call.data['size']}"
    assert plan.guest_steps(GUEST, dataclasses.replace(machine, config=after, running=True)) == ()
    assert values.disk_size(str(after["scsi0"])) >= GUEST.size.disk << 30
