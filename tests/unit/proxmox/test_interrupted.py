"""Ctrl-C and SIGTERM: what the cluster has begun goes on there, nothing more is begun, and the next run goes on."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.proxmox import crm
from lab.proxmox.api import migrate
from lab.proxmox.api.call import METHODS
from proxmox import cli
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_failover import quick_nodes
from tests.unit.proxmox.test_operations import Cli, guests, ops, quick

__all__ = ["ops", "quick", "quick_nodes"]
SET_HANDLER = signal.signal
"""The real one, which ``quick`` takes away."""


@pytest.fixture(autouse=True)
def heeding() -> Iterator[None]:
    """Have this process heed Ctrl-C: what a shell starts in the background ignores it from birth."""
    former = SET_HANDLER(signal.SIGINT, signal.default_int_handler)
    yield
    SET_HANDLER(signal.SIGINT, former)


def interrupting(whole: Callable[..., Any]) -> Callable[..., Any]:
    """Return what interrupts this process, as Ctrl-C does, when it is called first."""
    told = False

    async def first(*arguments: Any, **named: Any) -> Any:
        nonlocal told
        if not told:
            told = True
            os.kill(os.getpid(), signal.SIGINT)
        return await whole(*arguments, **named)

    return first


def test_a_node_is_not_emptied_any_further(ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cti01", "web01"):
        assert ops("migrate", name, "--to", "pve1", "--overcommit")[0] == 0
    monkeypatch.setattr(migrate, "MIGRATION_SECONDS", 0.5)
    monkeypatch.setattr(migrate, "_migrate", interrupting(migrate._migrate))  # noqa: SLF001
    stand_in.written()
    code, said, wrong = ops("evacuate", "pve1", "--overcommit")
    assert (code, "interrupted; what the cluster has begun goes on there" in wrong) == (130, True), wrong
    assert (len(stand_in.written()) <= 2, "stays on" in said) == (True, False), said
    assert "pve1" in guests(stand_in).values()
    assert ops("evacuate", "pve1", "--overcommit")[0] == 0
    assert "pve1" not in guests(stand_in).values()


def test_a_failover_waits_for_ha_no_longer_and_is_taken_up(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining = "POST", "/cluster/ha/resources"
    monkeypatch.setattr(crm, "ADOPT_SECONDS", 600)
    monkeypatch.setattr("proxmox.adopt._HA_SECONDS", 20)
    monkeypatch.setitem(METHODS, joining, interrupting(METHODS[joining]))
    stand_in.lose("pve1")
    code, said, wrong = ops("failover", "pve1", "--it-is-off")
    assert (code, "interrupted; what the cluster has begun goes on there" in wrong) == (130, True), wrong
    assert "answers after" not in said
    monkeypatch.setattr(crm, "ADOPT_SECONDS", 0.1)
    assert ops("failover", "pve1", "--it-is-off")[0] == 0
    assert stand_in.machines.running[101]


def test_guests_that_wait_their_turn_are_not_made(
    quick: None, at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    del quick
    clone = "POST", "/nodes/{node}/qemu/{vmid}/clone"
    monkeypatch.setattr("proxmox.apply._WORKERS", 2)
    monkeypatch.setitem(METHODS, clone, interrupting(METHODS[clone]))
    at_stand_in.write()
    assert cli.main(["apply", "-i", "cluster"]) == 130
    assert len(stand_in.store.cluster.guests) < 4
    assert cli.main(["apply", "-i", "cluster"]) == 0
    assert cli.main(["plan", "-i", "cluster"]) == 0
