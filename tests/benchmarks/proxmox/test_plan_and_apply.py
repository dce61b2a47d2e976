"""How long a plan of a large cluster takes, and how close an apply comes to what the storage allows."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox import layout
from lab.proxmox.tasks import Tasks
from proxmox import apply, inventory, plan, preflight, reader, spare
from proxmox import state as states
from proxmox.api import Api
from proxmox.desired import Cluster, Guest
from proxmox.journal import Journal
from tests.inventory import Inventory
from tests.stand_in import StandIn

NODES, GUESTS = 20, 200
CLONES, CLONE_SECONDS, AT_ONCE = 12, 5.0, 4


def many(cluster: Cluster, count: int, nodes: int) -> Cluster:
    """Return the cluster with so many guests, spread over so many nodes."""
    pattern: Guest = cluster.guests[0]
    guests = tuple(
        dataclasses.replace(
            pattern,
            name=f"pbx{number:03}",
            vmid=1000 + number,
            node=f"pve{number % nodes + 1}",
            address=IPv4Address(f"198.18.0.{number + 40}"),
            mac=f"02:00:00:00:00:{number:02X}",
        )
        for number in range(count)
    )
    return dataclasses.replace(cluster, guests=guests, parallel_clones=AT_ONCE)


def side_by_side() -> Callable[[Tasks, str], AbstractAsyncContextManager[None]]:
    """Return a storage's lock that takes several clones at a time, to put in the place of :meth:`Tasks.locked`."""
    places: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def some(_: Tasks, storage: str) -> AsyncIterator[None]:
        async with places.setdefault(storage, asyncio.Semaphore(AT_ONCE)):
            yield

    return some


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the stand-in twenty nodes."""
    hosts = {f"pve{number}": layout.Node(f"pve{number}", number, f"192.0.2.{number}") for number in range(1, NODES + 1)}
    monkeypatch.setattr(layout, "NODES", hosts)
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)


def say(text: str) -> None:
    print(f"\n{text}")  # noqa: T201 (a benchmark prints)


@pytest.mark.usefixtures("nodes")
def test_plan_of_two_hundred_guests(at_stand_in: Inventory, stand_in: StandIn) -> None:
    from lab.proxmox.state import Guest as Machine  # noqa: PLC0415

    at_stand_in.hosts = {
        f"pbx{number:03}": {
            "ansible_host": f"198.18.0.{number + 10}",
            "proxmox_node": f"pve{number % NODES + 1}",
            "proxmox_vmid": 1000 + number,
        }
        for number in range(GUESTS)
    }
    at_stand_in.groups = {"pbx": list(at_stand_in.hosts)}
    written = at_stand_in.write()
    inventory.load(written)  # as a process does that has Ansible imported
    begin = time.perf_counter()
    cluster = reader.read(inventory.load(written))
    loaded = time.perf_counter() - begin
    for guest in cluster.guests:
        wanted = plan.settings(guest, states.Machine(guest.vmid, guest.node, guest.name))
        disk = {"scsi0": f"shared:vm-{guest.vmid}-disk-0,size={guest.size.disk}G"}
        stand_in.store.cluster.guests[guest.vmid] = Machine(
            guest.vmid, guest.node, {**wanted, **disk, "name": guest.name}, 0.0, has_container=True
        )
        stand_in.machines.running[guest.vmid] = True
    api = Api(cluster.endpoint)
    answers: list[float] = []

    def timed(call: Any) -> Any:
        begin = time.perf_counter()
        data = api.send(call)
        answers.append(time.perf_counter() - begin)
        return data

    stand_in.requests.clear()
    begin = time.perf_counter()
    found = states.read(timed, cluster.guests, cluster.templates)
    read = time.perf_counter() - begin
    assert preflight.problems(cluster, found) == []
    made = plan.build(cluster, found)
    risks = spare.risks(cluster, found)
    own = time.perf_counter() - begin - read
    assert [work.name for work in made.works if work.steps] == ["centralino-debian-13"]
    assert risks == []
    kinds = Counter(path.split("/")[-1] if "/nodes/" in path else path for _, path in stand_in.requests)
    say(
        f"plan of {GUESTS} guests on {NODES} nodes: {loaded + own:.2f} s of its own ({loaded:.2f} s for the inventory, "
        f"{own:.2f} s for the plan with the N+1 proof); {read:.2f} s until all "
        f"{len(answers)} answers are read ({dict(kinds)})"
    )


@pytest.mark.usefixtures("stand_in")
def test_apply_of_twelve_guests(at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in's storage takes four clones at a time here, of five seconds each."""
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    cluster = at_stand_in.cluster()
    api = Api(cluster.endpoint, Journal(tmp_path / "journal", "apply"))
    template = dataclasses.replace(cluster, guests=cluster.guests[:1])
    found = states.read(api.send, template.guests, template.templates)
    apply.apply(api, template, found, lambda *_: None)
    monkeypatch.setattr(Tasks, "locked", side_by_side())
    monkeypatch.setattr("lab.proxmox.api.clone.COPY_SECONDS", CLONE_SECONDS)
    wanted = many(cluster, CLONES, 3)
    begin = time.perf_counter()
    found = states.read(api.send, wanted.guests, wanted.templates)
    outcomes = apply.apply(api, wanted, found, lambda *_: None)
    took = time.perf_counter() - begin
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    ideal = CLONE_SECONDS * CLONES / AT_ONCE
    shape = f"{AT_ONCE} clones of {CLONE_SECONDS:.0f} s at once"
    say(f"apply of {CLONES} guests, {shape}: {took:.1f} s, {took / ideal:.2f} of the ideal {ideal:.0f} s")
