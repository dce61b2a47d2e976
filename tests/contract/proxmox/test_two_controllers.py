"""Two controllers, each with a journal of its own, at work on one cluster at once: the lock is of one machine alone."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proxmox import cli
from tests.contract.proxmox import killable
from tests.inventory import Inventory
from tests.stand_in import StandIn


def test_nothing_is_made_twice_and_the_cluster_is_as_wanted(
    quick: None, at_stand_in: Inventory, stand_in: StandIn, tmp_path: Path
) -> None:
    """Both start from nothing; who comes too late finds the number taken, looks again, and goes on from there."""
    del quick
    at_stand_in.write()
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copytree(at_stand_in.folder, other / "cluster")
    with ThreadPoolExecutor() as pool:
        (first, said), (second, told) = pool.map(lambda folder: killable.run(folder, ["apply"]), (tmp_path, other))
    assert "is at work on this cluster" not in said + told
    assert "Traceback" not in said + told
    assert 0 in (first, second), said + told
    # One that has lost every race says so; run again, it finds all done.
    assert cli.main(["apply", "-i", "cluster"]) == 0, said + told
    assert cli.main(["plan", "-i", "cluster"]) == 0
    cluster = stand_in.store.cluster
    assert set(cluster.guests) == {101, 121, 131, 9000}
    assert Counter(guest.name for guest in cluster.guests.values()).most_common(1)[0][1] == 1
    made = Counter(task.type for task in cluster.tasks if task.exitstatus == "OK")
    assert (made["qmcreate"], made["qmclone"]) == (1, 3)
    assert {one.volid for one in cluster.volumes.values() if "vm-" in one.volid and "disk" in one.volid} == {
        f"shared:vm-{vmid}-disk-0" for vmid in (101, 121, 131)
    }
