"""Backups on schedule: the cluster's job becomes what the inventory says, stays so, and really runs."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from proxmox import schedule
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.samples import GUEST, cluster_of
from tests.unit.proxmox.test_operations import Cli, ops, quick

__all__ = ["ops", "quick"]
NAME = "centralino_test_shared"


@pytest.fixture
def nightly(ops: Cli, at_stand_in: Inventory, stand_in: StandIn) -> Cli:
    """Give a cluster that stands, and an inventory that wants backups at night."""
    at_stand_in.settings |= {"proxmox_backup_schedule": "01:30", "proxmox_backup_retention": "keep-daily=7"}
    stand_in.written()
    return ops


def jobs(stand_in: StandIn) -> dict[str, dict[str, Any]]:
    return {job["id"]: job for job in stand_in.client().cluster.backup.get()}


def test_a_job_is_made_once_and_read_back(nightly: Cli, stand_in: StandIn) -> None:
    code, said, _ = nightly("schedule", "--check")
    assert code == 2
    assert f"+ backup job {NAME}" in said
    assert "vmid           101,121,131" in said
    assert "backups at 01:30, next 20" in said
    assert stand_in.written() == []
    code, said, _ = nightly("schedule")
    assert (code, said.splitlines()[-1]) == (0, "changed=true")
    job = jobs(stand_in)[NAME]
    assert (job["vmid"], job["storage"], job["schedule"]) == ("101,121,131", "shared", "01:30")
    assert (job["prune-backups"], job["repeat-missed"], job["mode"]) == ({"keep-daily": "7"}, 1, "snapshot")
    stand_in.written()
    code, said, _ = nightly("schedule")
    assert (code, said.splitlines()[-1], stand_in.written()) == (0, "changed=false", [])
    code, said, _ = nightly("schedule", "--json")
    assert (json.loads(said)["changed"], json.loads(said)["jobs"]) == (False, [])


def test_what_was_changed_by_hand_is_told_and_changed_back(nightly: Cli, stand_in: StandIn) -> None:
    assert nightly("schedule")[0] == 0
    assert nightly("backup")[0] == 0
    code, said, _ = nightly("status")
    assert (code, f"backup job {NAME}: 01:30 to shared, next 20" in said) == (0, True), said
    # Somebody has it back up everything of one node, at another time, but also has himself told of it.
    stand_in.client().cluster.backup(NAME).put(all=1, node="pve1", schedule="05:00", mailto="me@example.com")
    code, said, _ = nightly("status", "--json")
    (fault,) = json.loads(said)["faults"]
    assert code == 2
    assert fault.startswith(f"the backup job {NAME} differs from the inventory: vmid: nothing, wanted 101,121,131; ")
    assert "schedule: 05:00, wanted 01:30" in fault
    assert "node: pve1, wanted nothing" in fault
    assert nightly("schedule")[0] == 0
    job = jobs(stand_in)[NAME]
    assert (job["vmid"], job["schedule"], job.keys() & {"all", "node"}) == ("101,121,131", "01:30", set())
    assert job["mailto"] == "me@example.com"
    assert nightly("status")[0] == 0


def test_guests_storages_and_jobs_come_and_go(nightly: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    stand_in.client().cluster.backup.post(id="theirs", vmid="121", storage="local", schedule="02:00")
    stand_in.client().cluster.backup.post(id="centralino_test-2_shared", vmid="900", storage="local", schedule="02:00")
    at_stand_in.hosts["cti01"]["proxmox_backup_storage"] = "local"
    assert nightly("schedule")[0] == 0
    assert {name: job["vmid"] for name, job in jobs(stand_in).items()} == {
        NAME: "101,131", "centralino_test_local": "121", "theirs": "121", "centralino_test-2_shared": "900",
    }  # fmt: skip
    # A guest that is retired leaves all jobs, as a node does it; what has none left goes.
    del at_stand_in.hosts["cti01"], at_stand_in.groups["cti"]
    assert nightly("retire", "121")[0] == 0
    assert jobs(stand_in).keys() == {NAME, "centralino_test-2_shared"}
    assert nightly("schedule")[1].endswith("changed=false\n")
    # Without a schedule none of this inventory's is wanted.
    del at_stand_in.settings["proxmox_backup_schedule"]
    code, said, _ = nightly("status")
    assert (code, f"the backup job {NAME} is not in the inventory any more" in said) == (2, True)
    code, said, _ = nightly("schedule")
    assert (code, f"- backup job {NAME}" in said) == (0, True)
    assert jobs(stand_in).keys() == {"centralino_test-2_shared"}
    assert nightly("schedule")[1].endswith("changed=false\n")


def test_the_job_runs_at_its_time_on_every_node_and_keeps_what_it_shall(nightly: Cli, stand_in: StandIn) -> None:
    assert nightly("schedule")[0] == 0
    cluster = stand_in.store.cluster
    volumes = cluster.volumes

    def made() -> list[int]:
        return sorted(one.vmid for one in volumes.values() if one.content == "backup")

    time.sleep(0.5)
    assert made() == []
    for round_ in (1, 2):
        # The stand-in's clock is the machine's: the last run is put two days back, and a backup with it.
        for volume in [one for one in volumes.values() if one.content == "backup"]:
            del volumes[f"/{volume.volid}"]
            volume.volid = volume.volid.replace("vzdump-", f"vzdump-{round_}-")
            volumes[f"/{volume.volid}"] = replace(volume, created=volume.created - 30 * 86400)
        cluster.jobs[NAME]["since"] = time.time() - 2 * 86400
        wanted = sorted([101, 121, 131] * round_)
        wait_for(lambda wanted=wanted: made() == wanted, made)
    tasks = [task for task in cluster.tasks if task.type == "vzdump"]
    wait_for(lambda: all(task.exitstatus for task in tasks), lambda: tasks)  # an archive is there before its task ends
    assert {(task.node, task.user, task.exitstatus) for task in tasks} == {
        (node, "root@pam", "OK") for node in ("pve1", "pve2", "pve3")
    }
    # Of the next, only one a guest is left.
    stand_in.client().cluster.backup(NAME).put(storage="shared", **{"prune-backups": "keep-last=1"})
    time.sleep(1)  # an archive is named by the second
    cluster.jobs[NAME]["since"] = time.time() - 2 * 86400
    wait_for(lambda: made() == [101, 121, 131], made)


def wait_for(condition: Any, state: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, state()
        time.sleep(0.05)


def test_a_weekly_backup_is_not_too_old_after_two_days(nightly: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    at_stand_in.settings["proxmox_backup_schedule"] = "sat 03:00"
    assert nightly("schedule")[0] == 0
    assert nightly("backup")[0] == 0
    for volume in stand_in.store.cluster.volumes.values():
        volume.created -= 6 * 86400
    assert nightly("status")[0] == 0
    for volume in stand_in.store.cluster.volumes.values():
        volume.created -= 2 * 86400
    code, said, _ = nightly("status")
    assert (code, "the newest backup of pbx01 is 8 d old" in said) == (2, True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"proxmox_backup_schedule": "noon"},
            "all/proxmox.yml:21: proxmox_backup_schedule is 'noon', which the cluster does not understand (",
        ),
        ({"proxmox_backup_storage": None}, "proxmox_backup_storage is not set for pbx01: name a storage"),
        ({"proxmox_backup_storage": "local-lvm"}, "storage local-lvm does not take content `backup`: enable it"),
        ({"proxmox_backup_retention": "keep-nightly=3"}, "'keep-nightly=3' and must be keep-all=1, or some of keep-"),
        ({"proxmox_backup_retention": "keep-daily=0"}, "keeps no backup at all"),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(
    nightly: Cli, stand_in: StandIn, at_stand_in: Inventory, settings: dict[str, Any], said: str
) -> None:
    at_stand_in.settings |= settings
    code, _, wrong = nightly("schedule")
    assert (code, said in wrong) == (1, True), wrong
    assert stand_in.written() == []
    assert jobs(stand_in) == {}


def test_a_job_that_is_not_as_it_was_written_is_an_error(nightly: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cluster answers to the write is not believed."""

    async def forgetful(*_: Any) -> None:
        return

    from lab.proxmox.api.call import METHODS  # noqa: PLC0415

    monkeypatch.setitem(METHODS, ("POST", "/cluster/backup"), forgetful)
    code, _, wrong = nightly("schedule")
    assert (code, f"the cluster took the backup job {NAME} and it is not as wanted" in wrong) == (1, True)


def test_names_of_jobs_are_names_to_proxmox_and_no_two_are_alike() -> None:
    names = {
        name
        for cluster in ("lab", "lab-2", "Lab", "Kunde Süd", "a" * 60, "a" * 61)
        for storage in ("pbs", "pbs.2", "pbs_2", "b" * 60)
        for name in schedule.jobs(
            replace(cluster_of(replace(GUEST, backup_storage=storage)), name=cluster, backup_schedule="01:30")
        )
    }
    assert len(names) == 24
    assert all(len(name) <= 50 and name.replace("_", "").replace("-", "").isalnum() for name in names)
