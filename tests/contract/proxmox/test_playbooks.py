"""The playbooks of operations run the provisioner: a dry run writes nothing, a refusal is said in its words."""

import subprocess
import sys
from pathlib import Path

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


def test_what_is_refused_is_said_in_the_provisioners_words(ops: Cli, at_stand_in: Inventory) -> None:
    del ops
    code, said = play(at_stand_in, "migrate")
    assert (code != 0, "say which guest" in said) == (True, True), said
    code, said = play(at_stand_in, "relocate", "-e", f"source={at_stand_in.folder}", "-e", "steps=1")
    assert (code != 0, "names the same Proxmox cluster as" in said) == (True, True), said
    code, said = play(at_stand_in, "failover", "-e", "node=pve1", "-e", "it_is_off=true")
    assert (code != 0, "proxmox: node pve1 is online" in said) == (True, True), said
