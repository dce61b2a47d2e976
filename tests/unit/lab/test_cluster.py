"""The running cluster as tests and the audit see it: a guest that hangs is told of."""

from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.errors import LabError


def test_a_guest_that_does_not_answer_in_time_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is short of memory, or whose node was lost."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec sleep 30\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    cluster = Cluster(tmp_path)
    cluster.__dict__["hosts"] = {"web01": {"ansible_host": "198.18.0.31", "proxmox_ssh_user": "ops"}}
    with pytest.raises(LabError, match="web01: `centralino ban list` did not end within 0 s"):
        cluster.ssh("web01", "centralino ban list", seconds=0.2)
