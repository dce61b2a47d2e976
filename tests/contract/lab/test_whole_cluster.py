"""What real clusters were seen to do beyond one guest: migration, backups, dead nodes, quorum, high availability."""

import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from proxmoxer import ProxmoxAPI, ResourceException

from lab import standin
from lab.errors import LabError
from lab.paths import Paths
from lab.proxmox import auth, crm
from tests.stand_in import StandIn, end_of, make_template, standing

_VMIDS = count(300)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """Start a stand-in whose nodes may be lost."""
    with standing(tmp_path_factory.mktemp("whole")) as running:
        make_template(running.client())
        yield running


@pytest.fixture
def api(own: StandIn) -> Any:
    return own.client()


@pytest.fixture
def power(own: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a function that takes a node's power away; all have it again afterwards."""
    monkeypatch.setattr(crm, "DEAD_SECONDS", 0.1)
    monkeypatch.setattr(crm, "FENCE_SECONDS", 0.3)
    monkeypatch.setattr(crm, "ADOPT_SECONDS", 0.2)
    monkeypatch.setattr(crm, "LRM_SECONDS", 0.2)
    lost: list[str] = []

    def lose(node: str) -> None:
        lost.append(node)
        own.lose(node)

    yield lose
    for node in lost:
        own.give_back(node)


@pytest.fixture
def vmid(api: Any) -> int:
    """Start a guest on pve2."""
    number = next(_VMIDS)
    clone = api.nodes("pve1").qemu(9000).clone.post(newid=number, name=f"vm{number}", target="pve2", full=1)
    assert end_of(api, clone) == "OK"
    api.nodes("pve2").qemu(number).config.put(ipconfig0=f"ip=198.18.0.{number % 200}/24", onboot=1)
    assert end_of(api, api.nodes("pve2").qemu(number).status.start.post()) == "OK"
    return number


def node_of(api: Any, vmid: int) -> str:
    return next(str(line["node"]) for line in api.cluster.resources.get(type="vm") if line["vmid"] == vmid)


def until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_running_guest_migrates_only_when_asked_to_online(api: Any, vmid: int) -> None:
    with pytest.raises(ResourceException, match="can't migrate running VM without --online"):
        api.nodes("pve2").qemu(vmid).migrate.post(target="pve3")
    assert end_of(api, api.nodes("pve2").qemu(vmid).migrate.post(target="pve3", online=1)) == "OK"
    assert api.nodes("pve3").qemu(vmid).status.current.get()["status"] == "running"


def test_local_disks_go_along_only_when_asked_for(api: Any, vmid: int) -> None:
    guest = api.nodes("pve2").qemu(vmid)
    assert end_of(api, guest.move_disk.post(disk="scsi0", storage="local-lvm", delete=1)) == "OK"
    assert "without with-local-disks option" in end_of(api, guest.migrate.post(target="pve3", online=1))
    assert node_of(api, vmid) == "pve2"
    assert end_of(api, guest.migrate.post(target="pve3", online=1, **{"with-local-disks": 1})) == "OK"
    assert api.nodes("pve3").qemu(vmid).config.get()["scsi0"].startswith("local-lvm:")


def test_a_bulk_migration_of_nobody_ends_well(api: Any, vmid: int) -> None:
    upid = api.cluster("bulk-action").guest.migrate.post(target="pve3", vms=[4711, vmid])
    assert end_of(api, upid) == "OK"
    assert node_of(api, vmid) == "pve2"  # it runs, and was not asked for while it runs


def test_args_are_for_root_alone(api: Any, vmid: int, own: StandIn) -> None:
    with pytest.raises(ResourceException, match="only root can set 'args' config") as refused:
        api.nodes("pve2").qemu(vmid).config.put(args="-no-reboot")
    assert refused.value.status_code == 500
    root(own).nodes("pve2").qemu(vmid).config.put(args="-no-reboot")


def test_ha_is_steered_with_the_console_of_the_whole(api: Any, vmid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, auth.PRIVILEGES[auth.ROLE] - {"Sys.Console"})
    with pytest.raises(ResourceException, match=r"\(/, Sys\.Console\)") as refused:
        api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    assert refused.value.status_code == 403


def test_the_list_names_the_old_node_for_a_moment(api: Any, vmid: int) -> None:
    assert end_of(api, api.nodes("pve2").qemu(vmid).migrate.post(target="pve3", online=1)) == "OK"
    until(lambda: node_of(api, vmid) == "pve3")


def test_hamigrate_says_ok_before_anything_moved(api: Any, vmid: int) -> None:
    api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    upid = api.nodes("pve2").qemu(vmid).migrate.post(target="pve3", online=1)
    assert upid.split(":")[5] == "hamigrate"
    assert end_of(api, upid) == "OK"
    until(lambda: node_of(api, vmid) == "pve3")
    api.cluster.ha.resources(f"vm:{vmid}").delete()


def test_vzdump_on_a_node_without_the_guest_is_the_word_ok(api: Any, vmid: int) -> None:
    assert api.nodes("pve1").vzdump.post(vmid=vmid, storage="shared") == "OK"
    assert api.nodes("pve1").storage("shared").content.get(content="backup", vmid=vmid) == []


def test_a_backup_comes_back_under_a_free_number_alone(api: Any, vmid: int) -> None:
    assert end_of(api, api.nodes("pve2").vzdump.post(vmid=vmid, storage="shared", mode="snapshot")) == "OK"
    (archive,) = api.nodes("pve1").storage("shared").content.get(content="backup", vmid=vmid)
    with pytest.raises(ResourceException, match="already exists on node 'pve2'"):
        api.nodes("pve3").qemu.post(vmid=vmid, archive=archive["volid"], storage="shared")
    number = next(_VMIDS)
    made = api.nodes("pve3").qemu.post(vmid=number, archive=archive["volid"], storage="shared", unique=1, onboot=0)
    assert end_of(api, made) == "OK"
    cards = [api.nodes(node).qemu(one).config.get()["net0"] for node, one in (("pve2", vmid), ("pve3", number))]
    assert cards[0] != cards[1]


def test_a_dead_node_answers_595_and_its_guests_go_on_showing_as_running(api: Any, vmid: int, power: Any) -> None:
    def line() -> dict[str, Any]:
        return next(dict(entry) for entry in api.cluster.resources.get() if entry.get("vmid") == vmid)

    until(lambda: line()["status"] == "running")
    power("pve2")
    with pytest.raises(ResourceException) as refused:
        api.nodes("pve2").qemu(vmid).status.current.get()
    assert refused.value.status_code == 595
    assert line()["status"] == "running"
    assert next(node for node in api.nodes.get() if node["node"] == "pve2")["status"] == "offline"
    with pytest.raises(ResourceException, match="already exists on node 'pve2'"):
        api.nodes("pve3").qemu.post(vmid=vmid)


def test_without_a_majority_reads_work_and_writes_are_refused(api: Any, power: Any) -> None:
    power("pve2")
    power("pve3")
    assert api.cluster.status.get()[0]["quorate"] == 0
    with pytest.raises(ResourceException, match="Permission denied") as refused:
        api.nodes("pve1").qemu.post(vmid=999)
    assert refused.value.status_code == 500


def test_a_guest_that_comes_under_ha_after_its_nodes_death_is_started_elsewhere(
    api: Any, vmid: int, power: Any
) -> None:
    power("pve2")
    api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    until(lambda: node_of(api, vmid) != "pve2")
    there = node_of(api, vmid)
    until(lambda: api.nodes(there).qemu(vmid).status.current.get()["status"] == "running")
    api.cluster.ha.resources(f"vm:{vmid}").delete()


def test_what_ha_has_disabled_is_not_started_by_its_node(api: Any, vmid: int, own: StandIn, power: Any) -> None:
    """Nor is it moved, where it is bound to its node."""
    power("pve2")
    adopt(api, vmid, "pve2", "disabled")
    time.sleep(0.8)
    assert node_of(api, vmid) == "pve2"
    own.give_back("pve2")
    assert api.nodes("pve2").qemu(vmid).status.current.get()["status"] == "stopped"
    api.cluster.ha.resources(f"vm:{vmid}").delete()


def adopt(api: Any, vmid: int, node: str, state: str) -> None:
    """Have HA keep a guest in a state, on one node alone."""
    api.cluster.ha.resources.post(sid=f"vm:{vmid}", state="ignored")
    api.cluster.ha.rules.post(rule=f"stay-{vmid}", type="node-affinity", resources=f"vm:{vmid}", nodes=node, strict=1)
    api.cluster.ha.resources(f"vm:{vmid}").put(state=state)


def test_what_is_disabled_on_a_dead_node_is_moved_off_it_once(api: Any, vmid: int, own: StandIn, power: Any) -> None:
    """As a new resource it begins in request_stop, which is fenced and recovered; its own disk is not asked for."""
    guest = api.nodes("pve2").qemu(vmid)
    assert end_of(api, guest.move_disk.post(disk="scsi0", storage="local-lvm", delete=1)) == "OK"
    power("pve2")
    api.cluster.ha.resources.post(sid=f"vm:{vmid}", state="disabled")
    until(lambda: node_of(api, vmid) != "pve2")
    there = node_of(api, vmid)
    upid = api.nodes(there).qemu(vmid).status.start.post()
    assert end_of(api, upid) in {"OK", f"volume 'local-lvm:vm-{vmid}-disk-0' does not exist"}
    assert not own.machines.running[vmid]
    # Come to rest, it stays.
    power(there)
    time.sleep(0.8)
    assert own.store.cluster.guests[vmid].node == there
    own.give_back(there)
    api.cluster.ha.resources(f"vm:{vmid}").delete()


def test_ha_renames_a_guest_in_one_round_and_starts_it_in_another(
    api: Any, vmid: int, own: StandIn, power: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    power("pve2")
    monkeypatch.setattr(crm, "LRM_SECONDS", 600)
    api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    until(lambda: node_of(api, vmid) != "pve2")
    assert not own.machines.running[vmid]
    api.cluster.ha.resources(f"vm:{vmid}").delete()
    time.sleep(0.3)
    assert not own.machines.running[vmid]


def root(own: StandIn) -> Any:
    """Return a client of whoever set the cluster up: replication is none of the provisioner's rights."""
    told = json.loads((own.folder / "root.json").read_text())
    ca = str(own.folder / "ca.pem")
    return ProxmoxAPI("127.0.0.1", port=own.port, user=told["username"], password=told["password"], verify_ssl=ca)


def test_what_is_replicated_comes_back_with_its_replica_where_that_is(
    api: Any, vmid: int, own: StandIn, power: Any
) -> None:
    ops, guest, job = root(own), api.nodes("pve2").qemu(vmid), f"{vmid}-0"
    settings = {"id": job, "type": "local", "target": "pve3"}
    with pytest.raises(ResourceException, match=r"VM\.Replicate"):
        api.cluster.replication.post(**settings)
    assert end_of(api, guest.move_disk.post(disk="scsi0", storage="local-lvm", delete=1)) == "OK"
    with pytest.raises(ResourceException, match="missing replicate feature on volume 'local-lvm:"):
        ops.cluster.replication.post(**settings)
    assert end_of(api, guest.move_disk.post(disk="scsi0", storage="local-zfs", delete=1)) == "OK"
    ops.cluster.replication.post(**settings)
    until(lambda: ops.nodes("pve2").replication.get()[0]["last_sync"])
    assert api.cluster.replication.get()[0] | {"schedule": "*/15", "target": "pve3"} == api.cluster.replication.get()[0]

    power("pve2")
    adopt(api, vmid, "pve3", "started")  # HA knows nothing of replicas
    until(lambda: node_of(api, vmid) == "pve3")
    until(lambda: api.nodes("pve3").qemu(vmid).status.current.get()["status"] == "running")
    assert own.machines.hardware[vmid].image == f"copy-of-{vmid}"
    api.cluster.ha.resources(f"vm:{vmid}").delete()
    ops.cluster.replication(job).delete()
    assert api.cluster.replication.get() == []


def test_a_replica_that_was_never_made_brings_nothing_back(api: Any, vmid: int, own: StandIn, power: Any) -> None:
    guest = api.nodes("pve2").qemu(vmid)
    assert end_of(api, guest.move_disk.post(disk="scsi0", storage="local-zfs", delete=1)) == "OK"
    root(own).cluster.replication.post(id=f"{vmid}-0", type="local", target="pve3", disable=1)
    power("pve2")
    adopt(api, vmid, "pve3", "started")
    until(lambda: node_of(api, vmid) == "pve3")
    time.sleep(0.8)
    assert not own.machines.running[vmid]
    api.cluster.ha.resources(f"vm:{vmid}").delete()
    root(own).cluster.replication(f"{vmid}-0").delete()


def test_ha_ignores_a_move_that_its_rules_forbid_and_forgets_rules_with_the_guest(api: Any, vmid: int) -> None:
    api.cluster.ha.resources.post(sid=f"vm:{vmid}")
    pinned = {"type": "node-affinity", "resources": f"vm:{vmid}", "nodes": "pve2", "strict": 1}
    api.cluster.ha.rules.post(rule="stay", **pinned)
    assert end_of(api, api.nodes("pve2").qemu(vmid).migrate.post(target="pve3", online=1)) == "OK"
    time.sleep(1)
    assert node_of(api, vmid) == "pve2"
    api.cluster.ha.resources(f"vm:{vmid}").delete()
    assert api.cluster.ha.rules.get() == []


def test_guests_that_shall_be_apart_do_not_meet(api: Any, vmid: int, own: StandIn) -> None:
    """Resource affinity is strict: HA says OK to the move and does not make it."""
    other = next(_VMIDS)
    clone = api.nodes("pve1").qemu(9000).clone.post(newid=other, name=f"vm{other}", target="pve3", full=1)
    assert end_of(api, clone) == "OK"
    for one in (vmid, other):
        api.cluster.ha.resources.post(sid=f"vm:{one}")
    apart = {"type": "resource-affinity", "affinity": "negative", "resources": f"vm:{vmid},vm:{other}"}
    api.cluster.ha.rules.post(rule="apart", **apart)
    for target, there in (("pve3", "pve2"), ("pve1", "pve1")):
        assert end_of(api, api.nodes("pve2").qemu(vmid).migrate.post(target=target, online=1)) == "OK"
        time.sleep(1.5)
        assert own.store.cluster.guests[vmid].node == there
    for one in (vmid, other):
        api.cluster.ha.resources(f"vm:{one}").delete()


def test_a_plug_is_pulled_over_http_by_who_has_the_token(own: StandIn, api: Any, vmid: int, power: Any) -> None:
    """The lab's own path, beside the API: the machine behind the guest stops."""
    del power  # its shorter times
    token = json.loads((own.folder / "token.json").read_text())
    url = f"https://127.0.0.1:{own.port}/lab/nodes/pve2/"
    ca = str(own.folder / "ca.pem")
    assert requests.post(f"{url}lost", verify=ca, timeout=5).status_code == 401
    header = {"Authorization": f"PVEAPIToken={token['id']}={token['secret']}"}
    assert requests.post(f"{url}lost", headers=header, verify=ca, timeout=5).json() == {"data": ["pve2"]}
    assert api.cluster.status.get()[2]["online"] == 0
    assert requests.post(f"{url}back", headers=header, verify=ca, timeout=5).json() == {"data": []}
    until(lambda: api.nodes("pve2").qemu(vmid).status.current.get()["status"] == "running")


def test_the_labs_command_pulls_it_and_names_the_nodes(
    own: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxmox").symlink_to(own.folder)
    monkeypatch.setenv(standin.PORT_VARIABLE, str(own.port))
    paths = Paths(state=tmp_path, cache=tmp_path)
    assert standin.switch(paths, "pve3", "lost") == ["pve3"]
    assert standin.switch(paths, "pve3", "back") == []
    with pytest.raises(LabError, match="the nodes are pve1, pve2, pve3"):
        standin.switch(paths, "pve9", "lost")
    standin.switch(paths, "pve1", "lost")
    with pytest.raises(LabError, match="no configuration of VM 4711"):
        standin.take(paths, "pve2", 4711)
    monkeypatch.setenv(standin.PORT_VARIABLE, "1")
    with pytest.raises(LabError, match="`python -m lab up` starts it"):
        standin.switch(paths, "pve3", "lost")
