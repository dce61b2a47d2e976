"""Guests whose addresses a DHCP server chose: ``ansible-inventory`` itself reads them from the cluster."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from proxmox import reach, ssh
from proxmox.api import Api
from proxmox.desired import Guest
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli

CHECKOUT = Path(__file__).parents[3]
LINKS = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "family": "inet", "prefixlen": 8}]},
    {"ifname": "tun0", "addr_info": [{"local": "10.9.0.1", "family": "inet", "prefixlen": 24}]},
    {
        "ifname": "eth0",
        "addr_info": [
            {"local": "169.254.7.7", "family": "inet", "prefixlen": 16},
            {"local": "198.18.0.77", "family": "inet", "prefixlen": 24},
            {"local": "fe80::1", "family": "inet6", "prefixlen": 64},
        ],
    },
]
"""What the guest's own ``ip -json address`` says: its first card's network is the inventory's."""


@pytest.fixture
def dhcp(ops: Cli, at_stand_in: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Give an inventory whose pbx02 has its address by DHCP, and stands."""

    async def answer(*_: object) -> str:
        return json.dumps(LINKS)

    monkeypatch.setattr(stand_in.machines, "ask_agent", answer)
    at_stand_in.hosts["pbx02"] = {"proxmox_dhcp": True, "proxmox_node": "pve2", "proxmox_vmid": 102}
    at_stand_in.groups["pbx"].append("pbx02")
    assert ops("apply")[0] == 0
    assert stand_in.store.cluster.guests[102].config["ipconfig0"] == "ip=dhcp"
    (at_stand_in.folder / "addresses.proxmox.yml").write_text("plugin: guest_addresses\n")
    stand_in.requests.clear()
    return at_stand_in


def listed(files: Inventory) -> tuple[int, dict[str, Any], str]:
    """Return the exit code of ``ansible-inventory --list``, what it lists, and what it says beside that."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", files.folder, "--list"],
        cwd=CHECKOUT,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(files.folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else {}, " ".join(done.stderr.split())


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a host's variables; what a plugin brought is no template, and Ansible writes it so."""
    variables = found["_meta"]["hostvars"][name]
    return {
        key: value["__ansible_unsafe"] if isinstance(value, dict) and "__ansible_unsafe" in value else value
        for key, value in variables.items()
    }


def asked(stand_in: StandIn) -> list[str]:
    return [path for _, path in stand_in.requests if "/agent/" in path]


def test_the_address_is_the_one_that_its_agent_tells(dhcp: Inventory, stand_in: StandIn) -> None:
    code, found, said = listed(dhcp)
    assert code == 0, said
    assert of(found, "pbx02")["ansible_host"] == "198.18.0.77"
    assert of(found, "pbx02")["ansible_ssh_extra_args"] == "-o HostKeyAlias=pbx02"
    assert of(found, "pbx01")["ansible_host"] == "198.18.0.11"
    assert found["pbx"]["hosts"] == ["pbx01", "pbx02"]
    assert [path.split("/")[6] for path in asked(stand_in)] == ["102"]


def test_it_moves_and_is_still_found(dhcp: Inventory, ops: Cli) -> None:
    assert ops("migrate", "pbx02", "--to", "pve3")[0] == 0
    code, found, said = listed(dhcp)
    assert (code, of(found, "pbx02")["ansible_host"]) == (0, "198.18.0.77"), said


def test_an_agent_that_is_silent_is_told_and_the_others_are_there(
    dhcp: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mute(*_: object) -> str:
        raise LabError("no")

    monkeypatch.setattr(stand_in.machines, "ask_agent", mute)
    code, found, said = listed(dhcp)
    assert (code, "pbx02: its agent tells no address by DHCP yet" in said) == (0, True), said
    assert "ansible_host" not in of(found, "pbx02")
    assert of(found, "pbx01")["ansible_host"] == "198.18.0.11"


def test_a_cluster_that_refuses_is_an_error_in_its_words(dhcp: Inventory) -> None:
    (dhcp.secrets / "token").write_text("00000000-dead-beef")
    code, _, said = listed(dhcp)
    assert (code != 0, "refuses the token automation@pve!centralino" in said) == (True, True), said


def test_the_provisioner_does_not_ask_for_what_it_does_not_need(dhcp: Inventory, ops: Cli, stand_in: StandIn) -> None:
    del dhcp
    assert ops("plan")[0] == 0
    assert asked(stand_in) == []


def test_an_address_of_its_own_and_one_by_dhcp_are_too_many(dhcp: Inventory, ops: Cli) -> None:
    dhcp.hosts["pbx02"]["ansible_host"] = "198.18.0.12"
    assert "pbx02 has ansible_host and proxmox_dhcp: keep one" in ops("plan")[2]


def test_the_provisioner_waits_for_it_where_it_is_and_knows_it_by_its_name(
    dhcp: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent tells nothing at first; then it is that address that is logged in to, with the host key of the name."""
    cluster, tried = dhcp.cluster(), list[Guest]()
    (guest,) = [one for one in cluster.guests if one.dhcp]
    addresses = iter([[], ["10.9.0.1", "198.18.0.77"]])
    monkeypatch.setattr(reach, "_addresses", lambda *_: next(addresses))
    monkeypatch.setattr(ssh, "log_in", lambda one, _: tried.append(one))
    told: list[str] = []
    located = reach.reach(Api(cluster.endpoint), guest, "pve2", lambda _, text: told.append(text))
    assert told == ["waiting for SSH: its agent tells no address by DHCP yet"]
    assert tried == [located]
    asks = subprocess.run([ssh.command(located)[0], "-G", *ssh.command(located)[1:]], capture_output=True, check=True)
    settings = dict(line.split(" ", 1) for line in asks.stdout.decode().splitlines())
    assert (settings["hostname"], settings["hostkeyalias"]) == ("198.18.0.77", "pbx02")

    known = guest.access.known_hosts
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    known.write_text(f"pbx02 {key}\n198.18.0.11 {key}\n")
    ssh.forget(guest)
    assert known.read_text() == f"198.18.0.11 {key}\n"
