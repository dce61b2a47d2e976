"""The provisioner against the lab's stand-in: what it makes, what it leaves alone, what it says."""

import pytest

from proxmox import cli
from tests.unit.proxmox.conftest import Inventory, StandIn


@pytest.fixture(autouse=True)
def _without_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not log in: the machines here have no sshd; the end-to-end test proves that the provisioner gets in."""
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)


def test_stands_up_a_cluster_once(
    at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    path = at_stand_in.write()
    assert cli.main(["plan", "-i", path]) == 2
    assert stand_in.written() == []
    assert cli.main(["apply", "-i", path]) == 0
    assert capsys.readouterr().out.endswith("changed=true\n")
    assert all(stand_in.machines.running[vmid] for vmid in (101, 121, 131))
    web = stand_in.store.cluster.guests[131]
    assert (web.node, web.config["cores"], web.config["memory"]) == ("pve3", 8, "16384")
    assert "size=128G" in str(web.config["scsi0"])

    stand_in.written()
    assert cli.main(["plan", "-i", path]) == 0
    assert cli.main(["apply", "-i", path]) == 0
    assert capsys.readouterr().out.endswith("changed=false\n")
    assert stand_in.written() == []
