"""What a real Proxmox VE 9.1 cluster was seen to do, asked of the stand-in through proxmoxer."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
import requests
from proxmoxer import AuthenticationError, ResourceException

from tests.stand_in import IMAGE, URL, Machines, StandIn, end_of, standing

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm ops@example"
_VMIDS = count(200)


@pytest.fixture
def vmid(api: Any) -> Iterator[int]:
    """Clone the shared template to pve2, linked; the clone goes with the test."""
    number = next(_VMIDS)
    assert end_of(api, api.nodes("pve1").qemu(9000).clone.post(newid=number, name=f"vm{number}", target="pve2")) == "OK"
    yield number
    if number in [guest["vmid"] for guest in api.nodes("pve2").qemu.get()]:
        end_of(api, api.nodes("pve2").qemu(number).status.stop.post())
        end_of(api, api.nodes("pve2").qemu(number).delete(purge=1))


def guest(api: Any, vmid: int) -> Any:
    return api.nodes("pve2").qemu(vmid)


def test_the_cluster_has_three_nodes_and_a_quorum(api: Any) -> None:
    assert [node["node"] for node in api.nodes.get()] == ["pve1", "pve2", "pve3"]
    assert api.cluster.status.get()[0]["quorate"] == 1
    assert api.version.get()["release"].startswith("9.")


# --- log-in ----------------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_401(stand_in: StandIn) -> None:
    with pytest.raises(ResourceException) as refused:
        stand_in.client(token_value="00000000-0000-0000-0000-000000000000").version.get()
    assert refused.value.status_code == 401


def test_a_client_that_does_not_know_the_ca_refuses_the_server(stand_in: StandIn) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://127.0.0.1:{stand_in.port}/api2/json/version", timeout=5)


def test_a_user_logs_in_with_a_ticket_and_writes(stand_in: StandIn, vmid: int) -> None:
    import json  # noqa: PLC0415

    root = json.loads((stand_in.folder / "root.json").read_text())
    client = stand_in.client(user=root["username"], password=root["password"], token_name=None, token_value=None)
    guest(client, vmid).config.put(description="by ticket")
    assert guest(client, vmid).config.get()["description"] == "by ticket"
    with pytest.raises(AuthenticationError):
        stand_in.client(user=root["username"], password="wrong", token_name=None, token_value=None)


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, "true", "yes", "on"])
def test_booleans_other_than_0_and_1_are_400(api: Any, vmid: int, value: Any) -> None:
    with pytest.raises(ResourceException) as refused:
        guest(api, vmid).config.put(onboot=value)
    assert refused.value.status_code == 400
    assert refused.value.errors is not None
    assert "onboot" in refused.value.errors


def test_an_unknown_parameter_is_400_and_changes_nothing(api: Any, vmid: int) -> None:
    before = guest(api, vmid).config.get()
    with pytest.raises(ResourceException, match="not defined in schema") as refused:
        guest(api, vmid).config.put(cores=8, colour="red")
    assert refused.value.status_code == 400
    assert guest(api, vmid).config.get() == before


def test_raw_ssh_keys_are_400_and_encoded_ones_read_back_encoded(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException) as refused:
        guest(api, vmid).config.put(sshkeys=KEY)
    assert refused.value.status_code == 400
    guest(api, vmid).config.put(sshkeys=quote(KEY, safe=""))
    assert guest(api, vmid).config.get()["sshkeys"] == quote(KEY, safe="")


def test_a_json_body_is_taken_as_a_form_is(stand_in: StandIn, api: Any, vmid: int) -> None:
    import json  # noqa: PLC0415

    token = json.loads((stand_in.folder / "token.json").read_text())
    answer = requests.put(
        f"https://127.0.0.1:{stand_in.port}/api2/json/nodes/pve2/qemu/{vmid}/config",
        json={"cores": 3, "onboot": 1},
        headers={"Authorization": f"PVEAPIToken={token['id']}={token['secret']}"},
        verify=str(stand_in.folder / "ca.pem"),
        timeout=5,
    )
    assert answer.status_code == 200
    assert guest(api, vmid).config.get()["cores"] == 3


@pytest.mark.parametrize(("body", "kind"), [("{", "application/json"), ("[1]", "application/json"), ("x", "text/xml")])
def test_a_broken_body_is_refused(stand_in: StandIn, body: str, kind: str) -> None:
    import json  # noqa: PLC0415

    token = json.loads((stand_in.folder / "token.json").read_text())
    answer = requests.post(
        f"https://127.0.0.1:{stand_in.port}/api2/json/nodes/pve1/qemu",
        data=body,
        headers={"Authorization": f"PVEAPIToken={token['id']}={token['secret']}", "Content-Type": kind},
        verify=str(stand_in.folder / "ca.pem"),
        timeout=5,
    )
    assert answer.status_code in (400, 415)
    assert answer.json()["data"] is None


def test_a_method_of_the_api_that_the_lab_lacks_says_so(api: Any) -> None:
    with pytest.raises(ResourceException, match="not in the lab's stand-in") as refused:
        api.nodes("pve1").time.get()
    assert refused.value.status_code == 501


# --- configuration ---------------------------------------------------------------------------------------------------


def test_a_card_without_an_address_gets_a_new_one_with_each_put(api: Any, vmid: int) -> None:
    seen = set()
    for _ in range(3):
        guest(api, vmid).config.put(net0="virtio,bridge=vmbr0")
        seen.add(guest(api, vmid).config.get()["net0"])
    assert len(seen) == 3


def test_tags_come_back_sorted(api: Any, vmid: int) -> None:
    guest(api, vmid).config.put(tags="web;Asterisk,cti")
    assert guest(api, vmid).config.get()["tags"] == "asterisk;cti;web"


def test_a_stale_digest_is_a_checksum_mismatch(api: Any, vmid: int) -> None:
    digest = guest(api, vmid).config.get()["digest"]
    guest(api, vmid).config.put(cores=2, digest=digest)
    with pytest.raises(ResourceException, match="checksum mismatch"):
        guest(api, vmid).config.put(cores=3, digest=digest)
    assert guest(api, vmid).config.get()["cores"] == 2


def test_a_guest_that_does_not_exist_or_is_elsewhere_is_500(api: Any, vmid: int) -> None:
    for node, number in (("pve2", 999), ("pve3", vmid)):
        with pytest.raises(ResourceException, match=r"Configuration file .* does not exist") as refused:
            api.nodes(node).qemu(number).config.get()
        assert refused.value.status_code == 500


def test_an_unknown_node_and_an_unknown_storage_are_named(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException, match="hostname lookup 'pve9' failed"):
        api.nodes("pve9").qemu.get()
    with pytest.raises(ResourceException, match="storage 'attic' does not exist"):
        guest(api, vmid).config.put(scsi1="attic:8")


def test_hardware_of_a_running_guest_changes_at_its_next_start(api: Any, vmid: int) -> None:
    guest(api, vmid).config.put(cores=2, ipconfig0=f"ip=198.18.0.{vmid % 200}/24")
    assert end_of(api, guest(api, vmid).status.start.post()) == "OK"
    guest(api, vmid).config.put(cores=4)
    assert guest(api, vmid).config.get(current=1)["cores"] == 2
    assert guest(api, vmid).config.get()["cores"] == 4
    assert end_of(api, guest(api, vmid).status.reboot.post()) == "OK"
    assert guest(api, vmid).config.get(current=1)["cores"] == 4


# --- identifiers, clones, tasks --------------------------------------------------------------------------------------


def test_nextid_reserves_nothing(api: Any) -> None:
    assert api.cluster.nextid.get() == api.cluster.nextid.get() == "100"
    with pytest.raises(ResourceException, match="already exists"):
        api.cluster.nextid.get(vmid=9000)


def test_a_task_runs_on_after_the_answer(api: Any, vmid: int) -> None:
    upid = guest(api, vmid).resize.put(disk="scsi0", size="32G")
    assert api.nodes("pve2").tasks(upid).status.get()["status"] == "running"
    assert "exitstatus" not in api.nodes("pve2").tasks(upid).status.get()
    assert end_of(api, upid) == "OK"
    assert api.nodes("pve2").tasks(upid).log.get()[-1]["t"] == "TASK OK"
    assert guest(api, vmid).config.get()["scsi0"].endswith("size=32G")
    assert upid in [task["upid"] for task in api.nodes("pve2").tasks.get(vmid=vmid)]


def test_cloning_to_a_used_vmid_answers_and_fails_late(api: Any, vmid: int) -> None:
    upid = api.nodes("pve1").qemu(9000).clone.post(newid=vmid, name="again", target="pve2")
    assert "File exists" in end_of(api, upid)
    assert guest(api, vmid).config.get()["name"] == f"vm{vmid}"


def test_creating_a_used_vmid_is_refused_at_once(api: Any) -> None:
    with pytest.raises(ResourceException, match="already exists on node 'pve1'"):
        api.nodes("pve3").qemu.post(vmid=9000)


def test_an_import_that_does_not_exist_fails_in_the_task_and_leaves_nothing(api: Any) -> None:
    number = next(_VMIDS)
    upid = api.nodes("pve3").qemu.post(vmid=number, scsi0=f"local-lvm:0,import-from={IMAGE}")  # it is on pve1
    assert f"volume '{IMAGE}' does not exist" in end_of(api, upid)
    assert api.nodes("pve3").qemu.get() == []


def test_a_download_of_what_the_lab_has_not_fails_in_the_task(api: Any) -> None:
    storage = api.nodes("pve2").storage("local")
    upid = storage.post("download-url", content="import", filename="other.qcow2", url="https://example.org/other.qcow2")
    assert "404" in end_of(api, upid)
    assert storage.content.get() == []
    with pytest.raises(ResourceException, match="wrong extension"):
        storage.post("download-url", content="import", filename="debian-13.iso", url=URL)
    with pytest.raises(ResourceException, match="refusing to override"):
        api.nodes("pve1").storage("local").post("download-url", content="import", filename="debian-13.qcow2", url=URL)


def test_a_new_guest_is_unknown_and_nameless_for_a_moment(api: Any, vmid: int) -> None:
    def line() -> dict[str, Any]:
        return next(entry for entry in api.cluster.resources.get(type="vm") if entry["vmid"] == vmid)

    assert line()["status"] == "unknown"
    assert "name" not in line()
    deadline = time.monotonic() + 5
    while line()["status"] == "unknown":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert line()["name"] == f"vm{vmid}"


def test_a_template_on_local_storage_cannot_be_cloned_to_another_node(api: Any) -> None:
    with pytest.raises(ResourceException, match="uses local storage"):
        api.nodes("pve1").qemu(9001).clone.post(newid=next(_VMIDS), full=1, target="pve2")


def test_a_linked_clone_takes_no_storage(api: Any) -> None:
    with pytest.raises(ResourceException) as refused:
        api.nodes("pve1").qemu(9000).clone.post(newid=next(_VMIDS), full=0, storage="shared")
    assert refused.value.status_code == 400


def test_only_a_template_has_linked_clones(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException, match="Linked clone feature is not supported"):
        guest(api, vmid).clone.post(newid=next(_VMIDS), full=0)


def test_a_base_with_linked_clones_cannot_be_deleted(api: Any, vmid: int) -> None:
    assert "still in use" in end_of(api, api.nodes("pve1").qemu(9000).delete())
    assert guest(api, vmid).config.get()["name"] == f"vm{vmid}"


def test_many_clones_at_once_run_into_the_storages_lock(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.proxmox import tasks  # noqa: PLC0415

    monkeypatch.setattr(tasks, "LOCK_PATIENCE", 0.7)
    numbers = [next(_VMIDS) for _ in range(4)]
    upids = [api.nodes("pve1").qemu(9000).clone.post(newid=number, full=1) for number in numbers]
    ends = [end_of(api, upid) for upid in upids]
    assert ends[0] == "OK"
    assert "can't lock file '/var/lock/pve-manager/pve-storage-shared' - got timeout" in ends
    left = {entry["vmid"] for entry in api.nodes("pve1").qemu.get()} & set(numbers)
    assert len(left) == ends.count("OK")
    for number in left:
        end_of(api, api.nodes("pve1").qemu(number).delete())


# --- power -----------------------------------------------------------------------------------------------------------


def test_a_guests_life(api: Any, vmid: int) -> None:
    guest(api, vmid).config.put(ipconfig0="ip=198.18.0.99/24,gw=198.18.0.1", ciuser="ops", sshkeys=quote(KEY, safe=""))
    assert end_of(api, guest(api, vmid).status.start.post()) == "OK"
    assert guest(api, vmid).status.current.get()["status"] == "running"
    assert "already running" in end_of(api, guest(api, vmid).status.start.post())
    with pytest.raises(ResourceException, match="is running - destroy failed"):
        guest(api, vmid).delete()
    assert end_of(api, guest(api, vmid).status.shutdown.post(timeout=10)) == "OK"
    assert guest(api, vmid).status.current.get()["status"] == "stopped"
    assert end_of(api, guest(api, vmid).delete()) == "OK"
    assert api.nodes("pve2").storage("shared").content.get(vmid=vmid) == []


def test_a_template_does_not_start(api: Any) -> None:
    with pytest.raises(ResourceException, match="template"):
        api.nodes("pve1").qemu(9000).status.start.post()


def test_the_agent_answers_only_where_it_is_switched_on(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException, match="is not running"):
        guest(api, vmid).agent.ping.post()
    guest(api, vmid).config.put(delete="agent")
    with pytest.raises(ResourceException, match="No QEMU guest agent configured"):
        guest(api, vmid).agent.ping.post()


def test_a_protected_guest_is_not_deleted(api: Any, vmid: int) -> None:
    guest(api, vmid).config.put(protection=1)
    with pytest.raises(ResourceException, match="protection mode"):
        guest(api, vmid).delete()
    guest(api, vmid).config.put(protection=0)


# --- high availability -----------------------------------------------------------------------------------------------


def test_a_rule_refuses_what_ha_does_not_manage(api: Any, vmid: int) -> None:
    rule = {"rule": "pin", "type": "node-affinity", "resources": f"vm:{vmid}", "nodes": "pve2"}
    with pytest.raises(ResourceException, match="unmanaged resource"):
        api.cluster.ha.rules.post(**rule)
    api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    api.cluster.ha.rules.post(**rule)
    assert [entry["rule"] for entry in api.cluster.ha.rules.get()] == ["pin"]
    assert api.cluster.ha.resources.get()[0]["sid"] == f"vm:{vmid}"
    with pytest.raises(ResourceException, match="used in HA resources"):
        guest(api, vmid).delete()
    api.cluster.ha.rules("pin").delete()
    api.cluster.ha.resources(f"vm:{vmid}").delete()


def test_groups_became_rules(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException, match="migrated to rules"):
        api.cluster.ha.resources.post(sid=f"vm:{vmid}", group="old")


# --- restart ---------------------------------------------------------------------------------------------------------


def test_the_cluster_survives_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, machines = tmp_path_factory.mktemp("restart"), Machines()
    with standing(folder, machines=machines) as first:
        node = first.client().nodes("pve3")
        assert end_of(first.client(), node.qemu.post(vmid=300, name="kept", cores=4)) == "OK"
        upid = node.qemu(300).clone.post(newid=301)
    with standing(folder, machines=machines) as second:
        node = second.client().nodes("pve3")
        assert node.qemu(300).config.get()["cores"] == 4
        assert node.tasks(upid).status.get()["exitstatus"] != "OK"
        assert [entry["vmid"] for entry in node.qemu.get()] == [300]
