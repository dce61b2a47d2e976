"""The playbooks of operations run the provisioner: a dry run writes nothing, a refusal is said in its words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.proxmox import layout
from proxmox import cli
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli

CHECKOUT = Path(__file__).parents[3]


def play(files: Inventory, name: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", files.folder, f"playbooks/{name}.yml", *arguments],
        cwd=CHECKOUT,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(files.folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_guest_is_moved(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    del ops
    stand_in.written()
    code, said = play(at_stand_in, "migrate", "-e", "guest=pbx01", "-e", "node=pve2", "--check")
    assert (code, "changed=1" in said) == (0, True), said
    assert stand_in.written() == []
    code, said = play(at_stand_in, "migrate", "-e", "guest=pbx01", "-e", "node=pve2")
    assert (code, "changed=1" in said) == (0, True), said
    assert stand_in.store.cluster.guests[101].node == "pve2"
    code, said = play(at_stand_in, "migrate", "-e", "guest=pbx01", "-e", "node=pve2")
    assert (code, "changed=0" in said) == (0, True), said


def test_a_risk_is_taken_by_whoever_says_so(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ops("backup", "pbx01")[0] == 0
    small = {name: layout.Node(name, node.number, node.address, memory=6 << 30) for name, node in layout.NODES.items()}
    monkeypatch.setattr(layout, "NODES", small)
    del stand_in
    code, said = play(at_stand_in, "drill", "--limit", "pbx01", "--check")
    assert (code != 0, "take the risk with --overcommit" in said) == (True, True), said
    code, said = play(at_stand_in, "drill", "--limit", "pbx01", "-e", "overcommit=true")
    assert (code, "changed=1" in said) == (0, True), said


def test_backups_are_scheduled(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    at_stand_in.settings["proxmox_backup_schedule"] = "01:30"
    at_stand_in.write()
    del ops
    code, said = play(at_stand_in, "schedule", "--check")
    assert (code, "changed=1" in said, stand_in.store.cluster.jobs) == (0, True, {}), said
    for changed in (1, 0):
        code, said = play(at_stand_in, "schedule")
        assert (code, f"changed={changed}" in said) == (0, True), said
    assert list(stand_in.store.cluster.jobs) == ["centralino_test_shared"]


def test_what_is_refused_is_said_in_the_provisioners_words(ops: Cli, at_stand_in: Inventory) -> None:
    del ops
    code, said = play(at_stand_in, "migrate")
    assert (code != 0, "say which guest" in said) == (True, True), said
    code, said = play(at_stand_in, "relocate", "-e", f"source={at_stand_in.folder}", "-e", "steps=1")
    assert (code != 0, "names the same Proxmox cluster as" in said) == (True, True), said
    code, said = play(at_stand_in, "failover", "-e", "node=pve1", "-e", "it_is_off=true")
    assert (code != 0, "proxmox: node pve1 is online" in said) == (True, True), said


def test_every_command_has_a_playbook_and_a_page() -> None:
    """``variables`` asks no cluster; ``plan`` is what ``apply``'s playbook does in check mode."""
    parser = cli._parser()  # noqa: SLF001
    (commands,) = [action.choices for action in parser._actions if isinstance(action.choices, dict)]  # noqa: SLF001
    playbooks = "".join(file.read_text() for file in (CHECKOUT / "playbooks").glob("*.yml"))
    pages = "".join(file.read_text() for file in (CHECKOUT / "docs/operations").glob("*.md"))
    for command in commands.keys() - {"variables"}:
        assert f"python -m proxmox {command} " in pages, command
        assert command == "plan" or re.search(rf"'{command}'|\[{command}\]", playbooks), command


def test_the_cluster_is_looked_at(ops: Cli, stand_in: StandIn, at_stand_in: Inventory) -> None:
    assert ops("backup")[0] == 0
    code, said = play(at_stand_in, "status")
    assert (code, "changed=0" in said) == (0, True), said
    stand_in.machines.running[121] = False
    code, said = play(at_stand_in, "status", "--check")
    assert (code != 0, "! cti01 (121 on pve2) is stopped" in said) == (True, True), said
