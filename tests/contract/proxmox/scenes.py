"""What the tests of ``kill -9`` share: a cluster that stands, and a command that is killed at each of its moments."""

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
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli


@dataclass
class Scene:
    """A cluster that stands, and everything that a test does to it."""

    ops: Cli
    stand_in: StandIn
    files: Inventory
    beside: tuple[tuple[StandIn, Inventory], ...] = ()
    """Further clusters that the command writes to."""

    def machines(self) -> Counter[str]:
        """Return how many machines have each name, templates aside."""
        guests = self.stand_in.store.cluster.guests.values()
        return Counter(guest.name for guest in guests if not guest.is_template)

    def runs(self, vmid: int) -> bool:
        return bool(self.stand_in.machines.running.get(vmid))


ALL = Counter({"pbx01": 1, "cti01": 1, "web01": 1})
"""The machines, templates aside."""
Check = Callable[[Scene], None]
"""What must be there at the end."""
Prepare = Callable[[Scene], Check]


@pytest.fixture
def scene(ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a cluster that stands, whose nodes act quickly."""
    monkeypatch.setattr("proxmox.reach.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.failover.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    for name, seconds in (("DEAD_SECONDS", 0.02), ("FENCE_SECONDS", 0.2), ("ADOPT_SECONDS", 0.1), ("LRM_SECONDS", 0.5)):
        monkeypatch.setattr(crm, name, seconds)
    return Scene(ops, stand_in, at_stand_in)


def kill_at_each_moment(scene: Scene, prepare: Prepare, arguments: tuple[str, ...], moments: int) -> None:
    """Kill a command at its first journalled moment, run it again and check; then at its second; until it ends.

    It must have more than so many ``moments``: a command that notes nothing would never be killed.
    """
    check = prepare(scene)
    rewinds = [_rewind(stand_in, files) for stand_in, files in ((scene.stand_in, scene.files), *scene.beside)]
    folder = scene.files.folder.parent

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
        for rewind in rewinds:
            rewind()
    check(scene)
    assert moment > moments


def _rewind(stand_in: StandIn, files: Inventory) -> Callable[[], None]:
    """Return what brings a cluster and its journal back to where they are now."""
    files.write()
    journal = files.secrets / "proxmox.journal"
    start = json.dumps(asdict(stand_in.store.cluster)), dict(stand_in.machines.running)
    journal.unlink(missing_ok=True)

    def rewind() -> None:
        stand_in.store.cluster = from_json(json.loads(start[0]))
        stand_in.machines.running = dict(start[1])
        journal.unlink(missing_ok=True)

    return lambda: stand_in.run(_rewound(rewind))


async def _rewound(rewind: Callable[[], None]) -> None:
    """Rewind where the stand-in works, so that it never sees half of it."""
    rewind()
