"""The modules of ``community.proxmox`` against the stand-in: a client that no one here wrote."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox import auth
from tests import community_proxmox
from tests.stand_in import StandIn

VMID = 640


@pytest.fixture
def play(stand_in: StandIn, api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs tasks in one playbook and returns each one's result by its name."""
    del api  # made the template
    more = auth.PRIVILEGES[auth.ROLE] | {"VM.Snapshot", "VM.Snapshot.Rollback", "Pool.Audit"}
    monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, more)
    access = community_proxmox.access(stand_in.folder, stand_in.port)

    def run(*tasks: dict[str, Any]) -> dict[str, Any]:
        book = [{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]
        for task in tasks:
            module = next(key for key in task if key.startswith("community.proxmox."))
            task[module] |= access
            task["name"] = task.get("name", module)
        (tmp_path / "play.yml").write_text(json.dumps(book))
        done = subprocess.run(
            [community_proxmox.PLAYBOOK, "-i", "localhost,", "-c", "local", "play.yml"],
            cwd=tmp_path,
            env=community_proxmox.environment(stand_in.folder, tmp_path)
            | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        played = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]
        return {task["task"]["name"]: task["hosts"]["localhost"] for task in played}

    return run


def kvm(task: str, /, **options: Any) -> dict[str, Any]:
    return {"name": task, "community.proxmox.proxmox_kvm": {"node": "pve1", "vmid": VMID, "timeout": 60, **options}}


def snapshot(name: str, state: str) -> dict[str, Any]:
    return {
        "name": name,
        "community.proxmox.proxmox_snap": {"vmid": VMID, "snapname": "before", "state": state, "timeout": 60},
    }


def test_create_clone_snapshot_start_stop_delete(play: Any, api: Any) -> None:
    clone = {"clone": "golden", "vmid": 9000, "newid": VMID, "name": "foreign", "full": True, "storage": "shared"}
    done = play(
        kvm("clone", **clone),
        kvm("clone again", **clone),
        kvm("change", name="foreign", cores=2, memory=2048, update=True),
        snapshot("snapshot", "present"),
        kvm("start", state="started"),
        kvm("start again", state="started"),
        kvm("stop", state="stopped", force=True),
        snapshot("no snapshot", "absent"),
        kvm("delete", state="absent"),
        kvm("delete again", state="absent"),
        kvm("create", vmid=VMID + 1, name="blank", scsi={"scsi0": "shared:4"}, net={"net0": "virtio,bridge=vmbr0"}),
        kvm("remove", vmid=VMID + 1, state="absent"),
    )
    changed = {name: result["changed"] for name, result in done.items()}
    again = {name for name in changed if name.endswith("again")}
    assert {name for name, change in changed.items() if not change} == again
    assert not [guest for guest in api.cluster.resources.get(type="vm") if guest["vmid"] in {VMID, VMID + 1}]


def test_a_guest_enters_and_leaves_a_backup_job(play: Any, api: Any) -> None:
    api.cluster.backup.post(id="theirs", vmid="9000", storage="shared", schedule="01:30")

    def member(task: str, state: str) -> dict[str, Any]:
        options = {"vm_id": "9001", "backup_id": "theirs", "state": state, "api_timeout": 30}
        return {"name": task, "community.proxmox.proxmox_backup_schedule": options}

    done = play(member("in", "present"), member("in again", "present"))
    assert (done["in"]["changed"], done["in again"]["changed"]) == (True, False)
    assert api.cluster.backup("theirs").get()["vmid"] == "9000,9001"
    assert play(member("out", "absent"))["out"]["changed"]
    assert api.cluster.backup("theirs").get()["vmid"] == "9000"
