"""``kill -9`` at every journalled moment of each command: the next run ends in the wanted state, nothing is doubled."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count

import pytest

from lab.proxmox import crm
from lab.proxmox.state import from_json
from tests.contract.proxmox import killable
from tests.unit.proxmox.conftest import Inventory, StandIn
from tests.unit.proxmox.test_failover import localise
from tests.unit.proxmox.test_operations import Cli, with_twin


@dataclass
class Scene:
    """A cluster that stands, and everything that a test does to it."""

    ops: Cli
    stand_in: StandIn
    files: Inventory

    def machines(self) -> Counter[str]:
        """Return how many machines have each name, templates aside."""
        guests = self.stand_in.store.cluster.guests.values()
        return Counter(guest.name for guest in guests if not guest.is_template)

    def runs(self, vmid: int) -> bool:
        return self.stand_in.machines.running.get(vmid, False)


ALL = Counter({"pbx01": 1, "cti01": 1, "web01": 1})
Check = Callable[[Scene], None]


@pytest.fixture
def scene(ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a cluster that stands, whose nodes act quickly."""
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.failover.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    for name, seconds in (("DEAD_SECONDS", 0.02), ("FENCE_SECONDS", 0.2), ("ADOPT_SECONDS", 0.1)):
        monkeypatch.setattr(crm, name, seconds)
    return Scene(ops, stand_in, at_stand_in)


# --- what is prepared, what is asked for, what must be there at the end -----------------------------------------------


def twin(scene: Scene) -> Check:
    with_twin(scene.files)

    def check(after: Scene) -> None:
        assert after.machines() == ALL + Counter({"pbx02": 1})
        copy = after.stand_in.store.cluster.guests[102]
        assert (copy.node, after.runs(102), after.runs(101)) == ("pve2", True, True)
        assert "ip=198.18.0.12/24" in str(copy.config["ipconfig0"])
        assert after.ops("plan")[0] == 0

    return check


def moved(_: Scene) -> Check:
    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert (after.stand_in.store.cluster.guests[101].node, after.runs(101)) == ("pve2", True)

    return check


def emptied(scene: Scene) -> Check:
    assert scene.ops("migrate", "cti01", "--to", "pve1", "--overcommit")[0] == 0
    scene.stand_in.store.cluster.ha["vm:121"] = {"state": "started"}

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert not [
            one for one in after.stand_in.store.cluster.guests.values() if one.node == "pve1" and one.vmid < 900
        ]
        assert all(after.runs(vmid) for vmid in (101, 121, 131))

    return check


def restored(scene: Scene) -> Check:
    assert scene.ops("backup", "pbx01")[0] == 0

    def check(after: Scene) -> None:
        assert after.machines() == ALL + Counter({"pbx01": 1})
        copy = after.stand_in.store.cluster.guests[9001]
        assert (copy.node, copy.config["onboot"], "lock" in copy.config, after.runs(9001)) == ("pve2", 0, False, False)
        assert copy.config["net0"] != after.stand_in.store.cluster.guests[101].config["net0"]

    return check


def drilled(scene: Scene) -> Check:
    assert scene.ops("backup", "pbx01")[0] == 0

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert after.runs(101)

    return check


def shared(scene: Scene) -> Check:
    scene.stand_in.lose("pve1")

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert after.stand_in.store.cluster.guests[101].node in {"pve2", "pve3"}
        assert after.runs(101)

    return check


def replicated(scene: Scene) -> Check:
    localise(scene.stand_in, scene.files)
    scene.stand_in.store.cluster.replication["101-0"] = {"guest": 101, "target": "pve3", "last_sync": 0}
    scene.stand_in.lose("pve1")

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert (after.stand_in.store.cluster.guests[101].node, after.runs(101)) == ("pve3", True)

    return check


def backed_up(scene: Scene) -> Check:
    localise(scene.stand_in, scene.files)
    assert scene.ops("backup", "pbx01")[0] == 0
    scene.stand_in.lose("pve1")

    def check(after: Scene) -> None:
        assert after.machines() == ALL + Counter({"pbx01": 1})
        copy = after.stand_in.store.cluster.guests[9001]
        assert (copy.config["net0"], copy.config["onboot"], after.runs(9001), after.runs(101)) == (
            after.stand_in.store.cluster.guests[101].config["net0"], 1, True, False,
        )  # fmt: skip
        assert after.stand_in.store.cluster.ha["vm:101"]["state"] == "disabled"

    return check


def retired(scene: Scene) -> Check:
    del scene.files.hosts["cti01"], scene.files.groups["cti"]
    scene.stand_in.store.cluster.ha["vm:121"] = {"state": "started"}

    def check(after: Scene) -> None:
        assert after.machines() == ALL - Counter({"cti01": 1})
        assert after.stand_in.store.cluster.ha == {}
        assert not [key for key in after.stand_in.store.cluster.volumes if "vm-121" in key]
        assert after.ops("retire", "cti01")[0] == 1  # nothing is left to be taken up

    return check


FAILOVER = ("failover", "pve1", "--it-is-off")


@pytest.mark.parametrize(
    ("prepare", "arguments", "moments"),
    [
        (twin, ("clone", "pbx01", "--as", "pbx02"), 15),
        (moved, ("migrate", "pbx01", "--to", "pve2"), 5),
        (emptied, ("evacuate", "pve1", "--overcommit"), 10),
        (restored, ("restore", "pbx01", "--to", "pve2"), 5),
        (drilled, ("drill", "pbx01"), 20),
        (retired, ("retire", "cti01"), 12),
        (shared, FAILOVER, 3),
        (replicated, FAILOVER, 9),
        (backed_up, FAILOVER, 15),
    ],
)
def test_the_next_run_ends_in_the_wanted_state(
    scene: Scene, *, prepare: Callable[[Scene], Check], arguments: tuple[str, ...], moments: int
) -> None:
    check = prepare(scene)
    scene.files.write()
    folder, journal = scene.files.folder.parent, scene.files.secrets / "proxmox.journal"
    start = json.dumps(asdict(scene.stand_in.store.cluster)), dict(scene.stand_in.machines.running)
    journal.unlink()

    def rewind() -> None:
        scene.stand_in.store.cluster = from_json(json.loads(start[0]))
        scene.stand_in.machines.running = dict(start[1])
        journal.unlink()

    for moment in count(1):
        code, said = killable.run(folder, arguments, moment=moment)
        if code == 0:
            break
        assert code == -signal.SIGKILL, (moment, said)
        code, out, wrong = scene.ops(*arguments)
        try:
            assert code == 0, wrong
            check(scene)
        except AssertionError as error:
            error.add_note(f"killed at moment {moment}:\n{said}\nthe next run:\n{out}{wrong}")
            raise
        asyncio.run_coroutine_threadsafe(_rewound(rewind), scene.stand_in.loop).result(10)
    check(scene)
    assert moment > moments


async def _rewound(rewind: Callable[[], None]) -> None:
    """Rewind where the stand-in works, so that it never sees half of it."""
    rewind()
