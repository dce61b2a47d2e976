"""State that survives."""

import json
from pathlib import Path

from lab.proxmox.state import Cluster, Grant, Guest, Store, Task, Volume, from_json
from lab.proxmox.tasks import Tasks, upid


def full() -> Cluster:
    return Cluster(
        guests={100: Guest(100, "pve1", {"name": "pbx01", "cores": 4}, 1.5, {"memory": "4096"}, has_container=True)},
        volumes={"pve1/a:vm-100-disk-0": Volume("a:vm-100-disk-0", "pve1", 3, "images", "raw", 1.5, 100, "cloud")},
        tasks=[Task("UPID:x", "pve1", "qmstart", "100", "root@pam", 1, 2, 3, 4, "OK", ["TASK OK"])],
        secrets={"root@pam": "hash"},
        grants=[Grant("/", "root@pam", "Centralino")],
        ha={"vm:100": {"state": "started"}},
        rules={"apart": {"type": "resource-affinity"}},
        ticket_key="key",
    )  # fmt: skip


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "cluster.json")
    store.cluster = full()
    store.save()
    assert Store(tmp_path / "cluster.json").cluster == full()


def test_the_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "cluster.json")
    store.save()
    store.save()
    assert (tmp_path / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["cluster.json"]
    assert from_json(json.loads((tmp_path / "cluster.json").read_text())) == Cluster()


def test_a_task_that_the_restart_interrupted_has_failed(tmp_path: Path) -> None:
    store = Store(tmp_path / "cluster.json")
    store.cluster.tasks.append(Task("UPID:x", "pve1", "qmclone", "100", "root@pam", 1, 2, 3))
    Tasks(store)
    assert store.cluster.tasks[0].exitstatus == "unexpected status"
    assert store.cluster.tasks[0].endtime > 0


def test_a_upid_is_what_proxmoxer_reads() -> None:
    from proxmoxer.tools import Tasks as Reader  # noqa: PLC0415 (the client that has to understand it)

    name = upid("pve1", "qmclone", "9000", "automation@pve!centralino", pid=0x1A2B, pstart=0x3C, starttime=0x66AABBCC)
    read = Reader.decode_upid(name)
    assert (read["node"], read["type"], read["id"]) == ("pve1", "qmclone", "9000")
    assert read["user"] == "automation@pve"  # proxmoxer drops the token's name
    assert (read["starttime"], read["pid"]) == (0x66AABBCC, 0x1A2B)
