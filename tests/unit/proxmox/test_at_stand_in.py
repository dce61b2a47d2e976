"""The provisioner against the lab's stand-in: what it makes, leaves alone, goes on with, and says."""

import dataclasses
import hashlib
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.proxmox import layout, tls
from proxmox import cli
from proxmox.api import Api
from proxmox.calls import Call
from tests.inventory import Inventory
from tests.stand_in import StandIn

VMIDS = (101, 121, 131)


@pytest.fixture(autouse=True)
def _without_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not log in: the machines here have no sshd; the end-to-end test proves that the provisioner gets in."""
    monkeypatch.setattr("proxmox.apply.reach", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)


def run(*arguments: str) -> int:
    return cli.main([*arguments, "-i", "cluster"])


def test_stands_up_a_cluster_once(
    at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    at_stand_in.write()
    assert run("plan") == 2
    assert stand_in.written() == []
    assert run("apply") == 0
    assert capsys.readouterr().out.endswith("changed=true\n")
    assert all(stand_in.machines.running[vmid] for vmid in VMIDS)
    web = stand_in.store.cluster.guests[131]
    assert (web.node, web.config["cores"], web.config["memory"]) == ("pve3", 8, "16384")
    assert "size=128G" in str(web.config["scsi0"])

    stand_in.written()
    assert run("plan") == 0
    assert run("apply") == 0
    assert capsys.readouterr().out.endswith("changed=false\n")
    assert stand_in.written() == []


def test_one_guest_alone_and_what_was_changed_by_hand(
    at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    at_stand_in.write()
    assert run("apply", "--limit", "pbx01") == 0
    assert set(stand_in.store.cluster.guests) == {101, 9000}

    guest = stand_in.store.cluster.guests[101]
    guest.config["tags"] = "mine"
    stand_in.machines.running[101] = False
    at_stand_in.hosts["pbx01"]["proxmox_disk"] = 48
    at_stand_in.write()
    capsys.readouterr()
    assert run("plan", "--limit", "pbx01", "--json") == 2
    plan = json.loads(capsys.readouterr().out)
    (work,) = [work for work in plan["works"] if work["steps"]]
    assert [step["action"] for step in work["steps"]] == ["configure", "resize", "start"]
    assert work["steps"][0]["changes"] == [{"key": "tags", "before": "mine", "after": "centralino;pbx"}]

    stand_in.written()
    assert run("apply", "--limit", "pbx01") == 0
    assert len(stand_in.written()) == 3
    assert stand_in.machines.running[101]
    assert "size=48G" in str(guest.config["scsi0"])


def test_reads_few_lists(at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to do: one list of each kind for the whole cluster, and what has no such list once for each."""
    at_stand_in.write()
    assert run("apply") == 0
    monkeypatch.setattr("lab.proxmox.api.cluster.UNKNOWN_SECONDS", 0)
    stand_in.requests.clear()
    assert run("plan") == 0
    assert sorted(path.removeprefix("/api2/json") for _, path in stand_in.requests) == [
        "/access/permissions",
        "/cluster/ha/resources",
        "/cluster/replication",
        "/cluster/resources",
        "/cluster/status",
        "/nodes/pve1/network",
        "/nodes/pve1/qemu/101/config",
        "/nodes/pve1/qemu/9000/config",
        "/nodes/pve2/network",
        "/nodes/pve2/qemu/121/config",
        "/nodes/pve3/network",
        "/nodes/pve3/qemu/131/config",
    ]


@pytest.mark.parametrize("cut", [1, 3, 6, 13])
def test_goes_on_where_it_was_cut_off(
    at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Interrupted after any of its requests, the next run takes up what is there; nothing is made twice."""
    at_stand_in.write()
    original = Api._once  # noqa: SLF001
    sent: list[Call] = []

    def cutting(api: Api, call: Call) -> Any:
        answer = original(api, call)
        if call.method != "GET":
            sent.append(call)
            if len(sent) == cut:
                api.stop.set()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Api, "_once", cutting)
        assert run("apply") == 130
    assert run("apply") == 0
    assert run("plan") == 0
    made = [task.type for task in stand_in.store.cluster.tasks if task.exitstatus == "OK"]
    assert {kind: made.count(kind) for kind in ("download", "qmcreate", "qmtemplate", "qmclone", "qmstart")} == {
        "download": 1,
        "qmcreate": 1,
        "qmtemplate": 1,
        "qmclone": 3,
        "qmstart": 3,
    }


def test_makes_a_deleted_guest_anew_with_the_same_card_and_forgets_its_host_key(
    at_stand_in: Inventory, stand_in: StandIn
) -> None:
    at_stand_in.write()
    known = at_stand_in.secrets / "ssh/known_hosts"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    assert run("apply") == 0
    known.write_text(f"198.18.0.11 {key}\n198.18.0.21 {key}\n")
    card = stand_in.store.cluster.guests.pop(101).config["net0"]
    del stand_in.machines.running[101]
    assert run("apply") == 0
    assert stand_in.store.cluster.guests[101].config["net0"] == card
    assert known.read_text() == f"198.18.0.21 {key}\n"


def test_a_write_without_an_answer_is_looked_up_and_not_repeated(
    at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in carries the clone out and the connection breaks before its answer."""
    at_stand_in.write()
    once, broken = Api._client, set[str]()  # noqa: SLF001

    class Breaking:
        def __init__(self, resource: Any, path: list[str]) -> None:
            self._resource, self._path = resource, path

        def __getattr__(self, verb: str) -> Any:
            def call(**data: Any) -> Any:
                answer = getattr(self._resource, verb)(**data)
                if self._path[-1] == "clone" and data["name"] not in broken:
                    broken.add(data["name"])
                    raise requests.exceptions.ReadTimeout("Read timed out.")
                return answer

            return call

    monkeypatch.setattr(Api, "_client", lambda api, seconds: lambda path: Breaking(once(api, seconds)(path), path))
    assert run("apply") == 0
    assert broken == {"pbx01", "cti01", "web01"}
    clones = [task.exitstatus for task in stand_in.store.cluster.tasks if task.type == "qmclone"]
    assert clones == ["OK"] * 3


def test_a_task_that_fails_is_told_with_its_words(
    at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.proxmox.errors import TaskError  # noqa: PLC0415

    async def no_power(*_: object, **__: object) -> None:
        raise TaskError("start failed: QEMU exited with code 1")

    at_stand_in.write()
    monkeypatch.setattr(stand_in.machines, "start", no_power)
    assert run("apply") == 1
    said = capsys.readouterr()
    assert "proxmox: pbx01: starting: the task on pve1 failed: start failed: QEMU exited with code 1" in said.err
    assert said.out.endswith("changed=true\n")


# --- an API that does not let us in ----------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], sentences: int = 1) -> str:
    """Return what a plan and an application of it say, in so many sentences."""
    assert run("plan") == 1
    said = capsys.readouterr().err
    assert run("apply") == 1
    assert capsys.readouterr().err == said
    assert "Traceback" not in said
    assert len(said.splitlines()) == sentences
    return said.rstrip("\n")


def test_a_refused_token(at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    (at_stand_in.secrets / "token").write_text("00000000-dead-beef")
    at_stand_in.write()
    sentence = refused(capsys)
    assert sentence.startswith("proxmox: cluster/group_vars/all/proxmox.yml:5: ")
    assert "refuses the token automation@pve!centralino" in sentence
    assert "dead-beef" not in sentence
    assert stand_in.store.cluster.guests == {}


def test_a_token_without_rights(at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    at_stand_in.write()
    for grant in stand_in.store.cluster.grants:
        grant.role = "PVEAuditor"
    said = refused(capsys, sentences=5)
    assert "the token automation@pve!centralino lacks VM.Allocate, VM.Config.CPU" in said
    assert "VM.PowerMgmt on /vms/101, /vms/121, /vms/131, /vms/9000: " in said
    assert "lacks Datastore.AllocateSpace, Datastore.AllocateTemplate on /storage/shared: " in said
    assert stand_in.store.cluster.guests == {}


def test_another_authority(at_stand_in: Inventory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    tls.prepare(tmp_path / "other")
    (at_stand_in.secrets / "ca.pem").write_text((tmp_path / "other/ca.pem").read_text())
    at_stand_in.write()
    sentence = refused(capsys)
    assert sentence.startswith("proxmox: cluster/group_vars/all/proxmox.yml:3: proxmox_api_ca: the certificate of ")
    assert "is not trusted" in sentence


def test_a_name_that_is_not_in_the_certificate(at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    at_stand_in.settings["proxmox_api_host"] = "127.1"  # reaches the stand-in all the same
    at_stand_in.write()
    sentence = refused(capsys)
    assert sentence.startswith("proxmox: cluster/group_vars/all/proxmox.yml:1: proxmox_api_host: the certificate of ")
    assert "set it to a name or address that is in the certificate" in sentence


def test_an_authority_that_is_no_certificate(at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    (at_stand_in.secrets / "ca.pem").write_text("nonsense")
    at_stand_in.write()
    assert "proxmox_api_ca" in refused(capsys)


def test_a_fingerprint(at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = ssl.PEM_cert_to_DER_cert((stand_in.folder / "server.pem").read_text())
    del at_stand_in.settings["proxmox_api_ca"]
    at_stand_in.settings["proxmox_api_fingerprint"] = hashlib.sha256(certificate).hexdigest()
    at_stand_in.write()
    assert run("plan") == 2
    capsys.readouterr()
    at_stand_in.settings["proxmox_api_fingerprint"] = "ab" * 32
    at_stand_in.write()
    assert "proxmox_api_fingerprint: the certificate of" in refused(capsys)


def test_a_certificate_that_nobody_trusts(at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    """Without CA and fingerprint the certificate is verified all the same."""
    del at_stand_in.settings["proxmox_api_ca"]
    at_stand_in.write()
    assert "is not trusted" in refused(capsys)


def test_nobody_there(at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at_stand_in.settings["proxmox_api_port"] = free.getsockname()[1]
    at_stand_in.write()
    assert "cannot be reached (connection refused)" in refused(capsys)


def test_a_storage_without_room(
    at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = dataclasses.replace(layout.STORAGES["shared"], size=100 * layout.GIB)
    monkeypatch.setitem(layout.STORAGES, "shared", small)
    at_stand_in.write()
    sentence = refused(capsys)
    assert "storage shared: the disks that would come take 192 GiB and 100 GiB are free: make room" in sentence
    assert stand_in.written() == []


def test_a_machine_that_is_not_ours(
    at_stand_in: Inventory, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    at_stand_in.write()
    assert run("apply", "--limit", "pbx01") == 0
    stand_in.store.cluster.guests[101].config["name"] = "mailserver"
    stand_in.written()
    capsys.readouterr()
    assert "proxmox_vmid 101 is the machine mailserver on pve1, not pbx01" in refused(capsys)
    assert stand_in.written() == []


def test_calls_read_well() -> None:
    assert str(Call("GET", "/nodes/{node}/tasks", {"node": "pve1"})) == "GET /nodes/pve1/tasks"
