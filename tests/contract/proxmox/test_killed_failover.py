"""``kill -9`` at every journalled moment of a failover: nothing is doubled or lost."""

from collections import Counter

import pytest

from tests.contract.proxmox.scenes import ALL, Check, Prepare, Scene, kill_at_each_moment
from tests.unit.proxmox.test_failover import replicate, take_over
from tests.unit.proxmox.test_operations import localise


def shared(scene: Scene) -> Check:
    scene.stand_in.lose("pve1")

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert after.stand_in.store.cluster.guests[101].node in {"pve2", "pve3"}
        assert after.runs(101)

    return check


def replicated(scene: Scene) -> Check:
    localise(scene.stand_in, scene.files)
    replicate(scene.stand_in, "pve3")
    scene.stand_in.lose("pve1")

    def check(after: Scene) -> None:
        assert after.machines() == ALL
        assert (after.stand_in.store.cluster.guests[101].node, after.runs(101)) == ("pve3", True)
        assert (after.stand_in.store.cluster.ha, after.stand_in.store.cluster.rules) == ({}, {})

    return check


def taken_over(scene: Scene) -> Check:
    take_over(scene.stand_in, scene.files)
    return replicated(scene)


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
        assert after.stand_in.store.cluster.guests[101].node == "pve1"

    return check


FAILOVER = ("failover", "pve1", "--it-is-off")


@pytest.mark.parametrize(
    ("prepare", "arguments", "moments"),
    [
        (shared, FAILOVER, 3),
        (replicated, FAILOVER, 9),
        (taken_over, FAILOVER, 5),
        (backed_up, FAILOVER, 15),
    ],
)
def test_the_next_run_ends_in_the_wanted_state(
    scene: Scene, prepare: Prepare, arguments: tuple[str, ...], moments: int
) -> None:
    kill_at_each_moment(scene, prepare, arguments, moments)
