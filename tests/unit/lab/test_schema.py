"""Requests against the API's schema."""

import gzip
import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proxmox import schema
from lab.proxmox.errors import ApiError, ParameterError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm ops@example"
API = schema.load()
CREATE, _ = API.find("POST", "/nodes/pve1/qemu")
NEEDED = {"node": "pve1", "vmid": "100"}


def faults(**parameters: Any) -> dict[str, str]:
    with pytest.raises(ParameterError) as refused:
        schema.check(CREATE, NEEDED | parameters)
    assert refused.value.status == 400
    return refused.value.errors


@pytest.mark.parametrize("value", ["True", "true", "yes", "on", "False", "", "2", True])
def test_booleans_are_only_zero_and_one(value: Any) -> None:
    assert faults(onboot=value) == {"onboot": f"type check ('boolean') failed - got '{value}'"}


def test_booleans_become_numbers() -> None:
    assert schema.check(CREATE, NEEDED | {"onboot": "1", "protection": 0}) == {
        "node": "pve1", "vmid": 100, "onboot": 1, "protection": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "name", "words"),
    [
        ({"bogus": "1"}, "bogus", "not defined in schema"),
        ({"cores": "four"}, "cores", "type check ('integer')"),
        ({"cores": "0"}, "cores", "minimum value of 1"),
        ({"cpulimit": "129"}, "cpulimit", "maximum value of 128"),
        ({"ostype": "amiga"}, "ostype", "enumeration"),
        ({"name": "under_score"}, "name", "valid DNS name"),
        ({"net0": "bridge=vmbr0"}, "net0", "model: property is missing"),
        ({"net0": "virtio,bridge=vmbr0,colour=red"}, "net0", "colour: property is not defined"),
        ({"net0": "virtio=zz:zz"}, "net0", "unicast MAC address"),
        ({"net0": "virtio,bridge=a,bridge=b"}, "net0", "duplicate key"),
        ({"net32": "virtio"}, "net32", "not defined in schema"),
        ({"scsi31": "local-lvm:8"}, "scsi31", "not defined in schema"),
        ({"scsi0": "nowhere"}, "scsi0", "volume ID or path"),
        ({"ipconfig0": "ip=198.18.0.11"}, "ipconfig0", "CIDR"),
        ({"ipconfig0": "gw=198.18.0.1"}, "ip", "requires"),
        ({"nameserver": "not a name!"}, "nameserver", "DNS name"),
        ({"memory": "8"}, "memory", "minimum value of 16"),
        ({"agent": "enabled=yes"}, "agent", "boolean"),
        ({"boot": "order=scsi0,net0"}, "boot", "boot order"),
        ({"force": "1"}, "archive", "'force' requires this property"),
        ({"description": "x" * 8193}, "description", "8192 characters"),
        ({"vmid": "99"}, "vmid", "minimum value of 100"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, str], name: str, words: str) -> None:
    found = faults(**parameters)
    assert words in " ".join(found.values())
    assert name in found or name in " ".join(found.values())


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ParameterError) as refused:
        schema.check(CREATE, {"node": "pve1"})
    assert refused.value.errors == {"vmid": "property is missing and it is not optional"}


@pytest.mark.parametrize("text", [KEY, quote_plus(KEY), quote(KEY[:40], safe=""), quote("no key", safe="")])
def test_ssh_keys_are_url_encoded_in_full(text: str) -> None:
    assert set(faults(sshkeys=text)) == {"sshkeys"}


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n{KEY}\n", f"# comment\n{KEY}", f'no-pty,command="true" {KEY}'])
def test_ssh_keys_that_are_encoded_are_taken(text: str) -> None:
    assert schema.check(CREATE, NEEDED | {"sshkeys": quote(text, safe="")})["sshkeys"] == quote(text, safe="")


def test_a_volume_name_may_hold_slashes() -> None:
    found, values = API.find("DELETE", "/nodes/pve1/storage/local/content/local:import/debian-13.qcow2")
    assert found.path.endswith("/content/{volume}")
    assert values == {"node": "pve1", "storage": "local", "volume": "local:import/debian-13.qcow2"}


def test_a_fixed_part_of_a_path_wins_over_a_variable() -> None:
    assert API.find("GET", "/cluster/ha/status/current")[0].path == "/cluster/ha/status/current"


@pytest.mark.parametrize(
    ("verb", "path"), [("GET", "/nonsense"), ("PATCH", "/version"), ("GET", "/nodes/pve1/qemu/1/2")]
)
def test_a_method_that_does_not_exist_is_501(verb: str, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        API.find(verb, path)
    assert refused.value.status == 501


def test_every_pattern_of_the_schema_is_understood() -> None:
    patterns: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str):
                patterns.append(value["pattern"])
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                collect(item)

    collect(json.loads(gzip.decompress(schema.FACTS.read_bytes())))
    assert len(patterns) > 200
    for pattern in patterns:
        schema.expression(pattern)


def test_aliases_name_model_and_address_in_one() -> None:
    parts = schema.parse_properties(
        CREATE.parameters["net[n]"]["format"], "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7"
    )
    assert parts == {"model": "virtio", "macaddr": "BC:24:11:00:00:01", "bridge": "vmbr0", "tag": 7}


@given(st.dictionaries(st.sampled_from(sorted(CREATE.parameters)), st.text(max_size=60)))
def test_nonsense_is_refused_and_never_breaks_the_check(parameters: dict[str, str]) -> None:
    with suppress(ParameterError):
        assert schema.check(CREATE, parameters).keys() >= NEEDED.keys()


@given(st.text(max_size=80))
def test_any_property_string_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert "model" in schema.parse_properties(CREATE.parameters["net[n]"]["format"], text)
