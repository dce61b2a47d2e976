"""``kill -9`` at every journalled moment of restore, drill and schedule: nothing is doubled or lost."""

from collections import Counter

import pytest

from tests.contract.proxmox.scenes import ALL, Check, Prepare, Scene, kill_at_each_moment


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


def scheduled(scene: Scene) -> Check:
    scene.files.settings["proxmox_backup_schedule"] = "01:30"
    scene.stand_in.store.cluster.jobs |= {
        "centralino_test_gone": {"vmid": "101", "schedule": "03:00", "since": 0.0, "enabled": 0},
        "nightly": {"vmid": "777", "schedule": "03:00", "since": 0.0, "enabled": 0},
    }

    def check(after: Scene) -> None:
        jobs = after.stand_in.store.cluster.jobs
        assert jobs.keys() == {"centralino_test_shared", "nightly"}
        assert (jobs["centralino_test_shared"]["vmid"], jobs["nightly"]["vmid"]) == ("101,121,131", "777")

    return check


@pytest.mark.parametrize(
    ("prepare", "arguments", "moments"),
    [
        (restored, ("restore", "pbx01", "--to", "pve2"), 5),
        (scheduled, ("schedule",), 4),
        (drilled, ("drill", "pbx01"), 20),
    ],
)
def test_the_next_run_ends_in_the_wanted_state(
    scene: Scene, prepare: Prepare, arguments: tuple[str, ...], moments: int
) -> None:
    kill_at_each_moment(scene, prepare, arguments, moments)
