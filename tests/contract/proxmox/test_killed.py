"""``kill -9`` at every journalled moment of clone, migrate, evacuate and retire: nothing is doubled or lost."""

from collections import Counter

import pytest

from tests.contract.proxmox.scenes import ALL, Check, Prepare, Scene, kill_at_each_moment
from tests.unit.proxmox.test_operations import add_second_card, with_twin


def twin(scene: Scene) -> Check:
    with_twin(scene.files)
    add_second_card(scene.stand_in, 101)

    def check(after: Scene) -> None:
        assert after.machines() == ALL + Counter({"pbx02": 1})
        copy = after.stand_in.store.cluster.guests[102]
        assert (copy.node, after.runs(102), after.runs(101)) == ("pve2", True, True)
        assert "ip=198.18.0.12/24" in str(copy.config["ipconfig0"])
        assert ("link_down=1" in str(copy.config["net1"]), "ipconfig1" in copy.config) == (True, False)
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


def retired(scene: Scene) -> Check:
    del scene.files.hosts["cti01"], scene.files.groups["cti"]
    scene.stand_in.store.cluster.ha["vm:121"] = {"state": "started"}

    def check(after: Scene) -> None:
        assert after.machines() == ALL - Counter({"cti01": 1})
        assert after.stand_in.store.cluster.ha == {}
        assert not [key for key in after.stand_in.store.cluster.volumes if "vm-121" in key]
        assert after.ops("retire", "cti01")[0] == 1  # nothing is left to be taken up

    return check


@pytest.mark.parametrize(
    ("prepare", "arguments", "moments"),
    [
        (twin, ("clone", "pbx01", "--as", "pbx02"), 15),
        (moved, ("migrate", "pbx01", "--to", "pve2"), 5),
        (emptied, ("evacuate", "pve1", "--overcommit"), 10),
        (retired, ("retire", "cti01"), 12),
    ],
)
def test_the_next_run_ends_in_the_wanted_state(
    scene: Scene, prepare: Prepare, arguments: tuple[str, ...], moments: int
) -> None:
    kill_at_each_moment(scene, prepare, arguments, moments)
