"""A tenant cluster goes to other nodes, and to another Proxmox cluster: the order, the stops, and what stops it."""

import json
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.proxmox import auth, layout
from lab.proxmox.errors import TaskError
from lab.proxmox.state import Guest
from proxmox import cli, probes
from tests.contract.proxmox.test_rights import PAGE
from tests.contract.proxmox.two_clusters import Two, stand_in, standing_order
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli

__all__ = ["stand_in"]

ORDER = ["pbx02", "pbx01", "cti01", "web01"]


class Services:
    """Whether each guest's service answers, and who was asked in which order."""

    def __init__(self) -> None:
        self.silent: Callable[[str], bool] = lambda _: False
        self.asked: list[str] = []

    def of_guest(self, guest: Any) -> tuple[Callable[[], None], ...]:
        def ask() -> None:
            self.asked.append(guest.name)
            if self.silent(guest.name):
                raise probes.SilentError("SIP: timed out")

        return (ask,)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    found = Services()
    monkeypatch.setattr("proxmox.probes.of_guest", found.of_guest)
    for name in ("_BEFORE_SECONDS", "_AFTER_SECONDS"):
        monkeypatch.setattr(f"proxmox.relocate.{name}", 0)
    return found


@pytest.fixture
def four(ops: Cli, at_stand_in: Inventory, services: Services) -> Cli:
    """Give a cluster with a PBX that stands by."""
    del services
    standing_order(at_stand_in)
    assert ops("apply")[0] == 0
    return ops


def nodes(stand_in: StandIn) -> dict[str, str]:
    return {guest.name: guest.node for guest in stand_in.store.cluster.guests.values() if not guest.is_template}


# --- other nodes of the same cluster ---------------------------------------------------------------------------------

OLD = {"pbx01": "pve1", "pbx02": "pve2", "cti01": "pve2", "web01": "pve3"}
NEW = {"pbx01": "pve3", "pbx02": "pve1", "cti01": "pve1", "web01": "pve2"}


def elsewhere(files: Inventory) -> None:
    for name, node in NEW.items():
        files.hosts[name]["proxmox_node"] = node


def test_who_stands_by_goes_first_and_each_guest_is_asked_before_the_next_one_goes(
    four: Cli, stand_in: StandIn, at_stand_in: Inventory, services: Services
) -> None:
    elsewhere(at_stand_in)
    stand_in.store.cluster.ha["vm:101"] = {"state": "started"}
    stand_in.written()
    code, said, _ = four("relocate", "--check")
    assert code == 2
    assert [line.split(" ")[1] for line in said.splitlines()[:-1]] == ORDER
    assert "1/4 pbx02 (102; stands by) pve2 → pve1: would go as it runs, then be asked" in said
    assert stand_in.written() == []
    services.asked.clear()
    code, said, _ = four("relocate")
    assert (code, nodes(stand_in)) == (0, NEW)
    assert services.asked == [*ORDER, *ORDER]  # all before the first step, then each after its own
    moved = [task.id for task in stand_in.store.cluster.tasks if task.type == "qmigrate"]
    assert moved == ["102", "101", "121", "131"]
    assert "2/4 pbx01 (101; carries calls) pve1 → pve3: it is there and answers" in said
    assert "    back: python -m proxmox migrate pbx02 --to pve2 -i cluster" in said
    assert all(stand_in.machines.running[vmid] for vmid in (101, 102, 121, 131))
    assert stand_in.store.cluster.ha == {"vm:101": {"state": "started"}}
    assert four("plan", "--move")[0] == 0
    assert four("relocate")[1] == "all guests are there and answer\nchanged=false\n"


def test_it_stops_where_it_is_told_and_goes_on(four: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    elsewhere(at_stand_in)
    code, said, _ = four("relocate", "--until", "pbx02")
    assert (code, nodes(stand_in)) == (0, OLD | {"pbx02": "pve1"})
    assert "stopped; next is pbx01 (carries calls)\n    on:   python -m proxmox relocate -i cluster\n" in said
    stand_in.written()
    assert "stopped; next is pbx01" in four("relocate", "--until", "pbx02")[1]  # as a playbook that is played again
    assert stand_in.written() == []
    code, said, _ = four("relocate", "--steps", "1", "--json")
    data = json.loads(said)
    assert (code, data["changed"], data["next"]) == (0, True, "cti01")
    assert [step["state"] for step in data["steps"]] == ["there", "moved", "to move", "to move"]
    assert data["back"] == {"pbx01": "python -m proxmox migrate pbx01 --to pve1 -i cluster"}
    assert nodes(stand_in) == OLD | {"pbx02": "pve1", "pbx01": "pve3"}
    assert four("relocate")[0] == 0
    assert nodes(stand_in) == NEW


def test_a_standby_that_does_not_answer_in_the_new_place_stops_all(
    four: Cli, stand_in: StandIn, at_stand_in: Inventory, services: Services
) -> None:
    elsewhere(at_stand_in)
    services.silent = lambda name: nodes(stand_in)[name] == "pve1" and name == "pbx02"
    for _ in range(2):  # nor does the next run pass it by
        stand_in.written()
        code, _, wrong = four("relocate")
        assert (code, nodes(stand_in)) == (1, OLD | {"pbx02": "pve1"})
        assert "pbx02 is on pve1 and does not answer there after 0 s (SIP: timed out); the guests after it" in wrong
    assert stand_in.written() == []
    back = "python -m proxmox migrate pbx02 --to pve2 -i cluster"
    assert four("migrate", "pbx02", "--to", "pve2")[0] == 0
    _, _, wrong = four("relocate")
    assert f"run again, or bring it back with `{back}`" in wrong
    services.silent = lambda _: False
    assert four("relocate")[0] == 0
    assert nodes(stand_in) == NEW


def test_calls_are_directed_to_the_standby_before_another_pbx_moves(
    four: Cli, stand_in: StandIn, at_stand_in: Inventory
) -> None:
    elsewhere(at_stand_in)
    at_stand_in.settings["proxmox_switch_hook"] = ".secrets/switch"
    hook, told = at_stand_in.secrets / "switch", at_stand_in.secrets / "told"
    hook.write_text("#!/bin/sh\necho the trunk refuses >&2\nexit 3\n")
    hook.chmod(stat.S_IRWXU)
    code, _, wrong = four("relocate")
    assert (code, nodes(stand_in)) == (1, OLD | {"pbx02": "pve1"})
    assert "note: proxmox_switch_hook directs new calls to pbx02 before pbx01 moves" in wrong
    assert "cluster/.secrets/switch does not direct calls to pbx02 (the trunk refuses): correct it" in wrong
    hook.write_text(f'#!/bin/sh\necho "$1" >> {told}\n')
    assert four("relocate")[0] == 0
    assert (told.read_text(), nodes(stand_in)) == ("pbx02\n", NEW)


def test_a_guest_that_is_ill_or_off_before_is_not_moved(
    four: Cli, stand_in: StandIn, at_stand_in: Inventory, services: Services
) -> None:
    elsewhere(at_stand_in)
    services.silent = lambda name: name == "web01"
    stand_in.written()
    assert "web01 does not answer on pve3 before anything is done to it (SIP: timed out)" in four("relocate")[2]
    stand_in.machines.running[121] = False
    assert "cti01 (121 on pve2) does not run" in four("relocate")[2]
    at_stand_in.hosts["web01"]["proxmox_node"] = "pve9"
    assert "proxmox_node: pve9 is not a node of the cluster" in four("relocate")[2]
    assert (
        "--until: pbx09 is none of the guests that go: pbx02, pbx01, cti01, web01"
        in four("relocate", "--until", "pbx09")[2]
    )
    assert "--steps: 0 is no number of guests" in four("relocate", "--steps", "0")[2]
    assert stand_in.written() == []


# --- another cluster -------------------------------------------------------------------------------------------------


@pytest.fixture
def two(four: Cli, stand_in: StandIn, at_stand_in: Inventory, tmp_path: Path) -> Iterator[Two]:
    """Give a second cluster of other nodes, and its inventory ``new``."""
    del four
    with Two.beside(stand_in, at_stand_in, tmp_path) as found:
        yield found


@pytest.fixture
def over(two: Two, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Give the command that goes to it."""

    def run(*arguments: str) -> tuple[int, str, str]:
        two.write()
        capsys.readouterr()
        code = cli.main(["relocate", "-i", "new", "--from", "cluster", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


def test_a_cluster_goes_to_another_one_and_a_guest_comes_back(over: Cli, two: Two, services: Services) -> None:
    two.old.store.cluster.ha["vm:102"] = {"state": "started"}
    cards = {guest.name: guest.config["net0"] for guest in two.old.store.cluster.guests.values()}
    two.written()
    code, said, _ = over("--check")
    assert (code, two.written()) == (2, [])
    assert "1/4 pbx02 (102, then 202; stands by) pve2 → far2: would go as it runs, then be asked" in said
    services.asked.clear()
    code, said, _ = over("--until", "pbx02")
    assert (code, nodes(two.new)) == (0, {"pbx02": "far2"})
    assert services.asked == [*ORDER, "pbx02"]
    assert "    on:   python -m proxmox relocate -i new --from cluster\n" in said
    back = "relocate --limit pbx02 -i cluster --from new"
    assert f"    back: python -m proxmox {back}\n" in said
    copy = two.new.store.cluster.guests[202]
    assert (copy.config["net0"], two.new.machines.running[202]) == (cards["pbx02"], True)
    assert (two.old.store.cluster.ha, two.new.store.cluster.ha) == ({}, {"vm:202": {"state": "started"}})
    assert 102 not in two.old.store.cluster.guests
    assert cli.main(back.split(" ")) == 0
    assert (nodes(two.new), nodes(two.old)) == ({}, OLD)
    assert (two.old.store.cluster.ha, two.new.store.cluster.ha) == ({"vm:102": {"state": "started"}}, {})
    code, said, _ = over()
    assert (code, nodes(two.old)) == (0, {})
    assert nodes(two.new) == {"pbx01": "far1", "pbx02": "far2", "cti01": "far2", "web01": "far3"}
    assert all(two.new.machines.running[vmid] for vmid in (201, 202, 221, 231))
    assert not [key for key in two.old.store.cluster.volumes if "vm-1" in key]
    two.written()
    assert over()[1] == "all guests are there and answer\nchanged=false\n"
    assert two.written() == []
    assert two.secret not in (two.old_files.secrets / "proxmox.journal").read_text()


def test_what_is_wrong_with_the_new_place_is_said_before_the_first_step(
    over: Cli, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = two.new.store.cluster
    two.written()
    far.guests[201] = Guest(201, "far1", {"name": "mail"}, 0.0)
    assert "proxmox_vmid 201 is the machine mail on far1, not pbx01" in over()[2]
    del far.guests[201]
    far.guests[300] = Guest(300, "far1", {"name": "pbx01"}, 0.0)
    assert "pbx01 exists already as 300 on far1, the inventory says 201" in over()[2]
    del far.guests[300]
    two.new_files.settings["proxmox_bridge"] = "vmbr9"
    assert "proxmox_bridge: node far1 has no bridge vmbr9" in over()[2]
    two.new_files.settings["proxmox_bridge"] = "vmbr0"
    two.new_files.hosts["pbx01"]["ansible_host"] = "198.18.0.77"
    assert "ansible_host of pbx01 is 198.18.0.77 and it has 198.18.0.11: guests keep" in over()[2]
    two.new_files.hosts["pbx01"]["ansible_host"] = "198.18.0.11"
    two.old.store.cluster.replication["101-0"] = {"guest": 101, "target": "pve3", "last_sync": 0}
    assert "pbx01: a replication job copies 101, and such a guest cannot go to another cluster" in over()[2]
    two.old.store.cluster.replication.clear()
    del two.new_files.hosts["cti01"], two.new_files.groups["cti"]
    assert "note: not in new and left where they are: cti01" in over("--check")[2]
    far.lost |= {"far2": 0.0, "far3": 0.0}
    assert "has no quorum (offline: far2, far3)" in over()[2]
    far.lost.clear()
    small = {name: layout.Node(name, node.number, node.address, memory=19 << 30) for name, node in two.nodes.items()}
    with monkeypatch.context() as patch:
        patch.setattr(two.new.store, "_nodes", small)
        wrong = over()[2]
    assert "the loss of node far3 would leave" in wrong
    assert "MiB" in wrong
    two.new_files.settings["proxmox_api_port"] = two.old.port
    assert "--from: cluster names the same Proxmox cluster as new" in over()[2]
    assert two.written() == []


def test_the_stand_ins_role_for_arrivals_is_the_documented_one() -> None:
    found = re.search(rf'pveum role add {auth.ARRIVALS} --privs "([^"]+)"', PAGE.read_text())
    assert found
    assert auth.PRIVILEGES[auth.ARRIVALS] == frozenset(found[1].split())


def test_the_rights_to_arrive_suffice_and_none_of_them_can_go(
    over: Cli, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.written()
    whole = auth.PRIVILEGES[auth.ARRIVALS]
    for privilege in sorted(whole):
        with monkeypatch.context() as patch:
            patch.setitem(auth.PRIVILEGES, auth.ARRIVALS, whole - {privilege})
            wrong = over("--check")[2]
            assert f"lacks {privilege} on /" in wrong
            assert two.written() == []
            # Nor is it only we who ask for it.
            patch.setattr("proxmox.preflight.lacking", lambda *_: iter(()))
            assert privilege in over("--steps", "1")[2]
            assert (nodes(two.new), nodes(two.old)) == ({}, OLD)
            two.written()
    assert over("--steps", "1")[0] == 0


def test_a_move_that_fails_leaves_the_guest_where_it_was(over: Cli, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up after the look at it; HA has its guest back."""
    two.old.store.cluster.ha["vm:102"] = {"state": "started"}
    full = {**layout.STORAGES, "shared": layout.Storage("shared", "nfs", layout.STORAGES["shared"].content, True, 1)}
    with monkeypatch.context() as patch:
        patch.setattr(layout, "STORAGES", full)
        code, _, wrong = over()
        assert (code, "storage shared: the disks that would come take" in wrong) == (1, True)
        code, _, wrong = over("--overcommit")
    assert (code, nodes(two.new), nodes(two.old)) == (1, {}, OLD)
    assert "not enough free space" in wrong
    assert "pbx02 runs on pve2 as before; the guests after it were not touched" in wrong
    assert two.old.store.cluster.ha == {"vm:102": {"state": "started"}}
    assert (two.old.machines.running[102], "lock" in two.old.store.cluster.guests[102].config) == (True, False)
    assert over()[0] == 0


def test_a_move_that_fails_after_the_switch_brings_no_second_one_to_life(
    over: Cli, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new machine runs, the old one could not be stopped: HA must not take it up again."""

    async def stuck(*_: Any, **__: Any) -> None:
        raise TaskError("VM quit/powerdown failed - got timeout")

    two.old.store.cluster.ha["vm:102"] = {"state": "started"}
    monkeypatch.setattr(two.old.machines, "stop", stuck)
    code, _, wrong = over()
    assert (code, nodes(two.old)) == (1, OLD)
    assert "its original 102 on pve2 runs, and 202 is on far2 in the new cluster; HA was left out of it" in wrong
    assert two.old.store.cluster.ha == {"vm:102": {"state": "ignored"}}
    assert "pbx02 is on both clusters (102 on pve2, 202 on far2)" in over()[2]


def test_a_standby_that_is_silent_in_the_other_cluster_stops_all(over: Cli, two: Two, services: Services) -> None:
    services.silent = lambda name: name in nodes(two.new)
    code, _, wrong = over()
    assert (code, nodes(two.new)) == (1, {"pbx02": "far2"})
    assert "bring it back with `python -m proxmox relocate --limit pbx02 -i cluster --from new`" in wrong


def test_two_machines_of_one_guest_are_not_guessed_about(over: Cli, two: Two) -> None:
    far, two_hundred = two.new.store.cluster, {"name": "pbx02", "lock": "create"}
    far.guests[202] = Guest(202, "far2", dict[str, str | int | float](two_hundred), 0.0)
    two.written()
    assert "pbx02: 202 on far2 of the new cluster is locked (create)" in over()[2]
    del far.guests[202].config["lock"]
    assert "pbx02 is on both clusters (102 on pve2, 202 on far2)" in over()[2]
    assert two.written() == []
    # What a move leaves that could not remove it is stopped and locked, and no second guest.
    two.old.machines.running[102] = False
    two.old.store.cluster.guests[102].config["lock"] = "migrate"
    code, said, told = over("--check")
    assert (code, "1/4 pbx02 (102, then 202; stands by) on far2: is there" in said) == (2, True), told


def test_an_original_that_may_stay_is_stopped_and_locked_and_ha_is_refused(two: Two, over: Cli) -> None:
    """What the stand-in answers where the provisioner does not ask: as nodes do."""
    del over
    from proxmox import calls, session, values  # noqa: PLC0415
    from proxmox.errors import RefusedError, TaskFailedError  # noqa: PLC0415

    with session.writing(two.options("relocate")) as opened:
        api = opened.api
        print_ = api.send(calls.certificates("pve1"))[0]["fingerprint"]
        far = values.remote("127.0.0.2", two.new.port, f"{auth.TOKEN}={two.secret}", two.fingerprint)
        stay: dict[str, calls.Value] = {"target-storage": "shared", "target-bridge": "vmbr0", "online": 1, "delete": 0}
        two.old.store.cluster.ha["vm:102"] = {"state": "started"}
        with pytest.raises(RefusedError, match="cannot migrate HA-managed VM"):
            api.send(calls.remote_migrate("pve2", 102, far, 202, stay))
        two.old.store.cluster.ha.clear()
        with pytest.raises(RefusedError, match="can't migrate running VM without --online"):
            api.send(calls.remote_migrate("pve2", 102, far, 202, {**stay, "online": 0}))
        strange = far.replace(two.fingerprint, print_)
        with pytest.raises(TaskFailedError, match="fingerprint"):
            api.wait(api.send(calls.remote_migrate("pve2", 102, strange, 202, stay)), 10, "a stranger")
        api.wait(api.send(calls.remote_migrate("pve2", 102, far, 202, stay)), 10, "a copy")
    original = two.old.store.cluster.guests[102]
    assert (original.config["lock"], two.old.machines.running[102]) == ("migrate", False)
    assert (two.new.store.cluster.guests[202].node, two.new.machines.running[202]) == ("far2", True)
