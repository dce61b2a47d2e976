"""The inventory: read as Ansible reads it, and refused with the file, the key and the remedy."""

import re
from pathlib import Path
from typing import Any

import pytest

from proxmox import cli, inventory, reader, vocabulary
from proxmox.errors import ProvisionerError
from proxmox.sizing import Size
from tests.inventory import PUBLIC_KEY, Inventory

ALL, HOST = "cluster/group_vars/all/proxmox.yml:", "cluster/host_vars/pbx01.yml"


def refusal(files: Inventory) -> list[str]:
    with pytest.raises(ProvisionerError) as refused:
        files.cluster()
    return list(refused.value.sentences)


def test_reads_what_the_playbooks_see(files: Inventory) -> None:
    cluster = files.cluster()
    assert [guest.name for guest in cluster.guests] == ["cti01", "pbx01", "web01"]
    assert [guest.size for guest in cluster.guests] == [Size(4, 8192, 32), Size(4, 4096, 32), Size(8, 16384, 128)]
    web = cluster.guests[2]
    assert web.search_domain == "test.example"
    assert web.tags == ("centralino", "database", "web")
    assert web.access.public_key == PUBLIC_KEY
    assert web.access.known_hosts == files.secrets / "ssh/known_hosts"
    assert cluster.endpoint.token_secret == "0123456789"
    assert len(cluster.templates) == 1


def test_one_guest_for_everything_takes_the_largest_size(files: Inventory) -> None:
    files.groups = {group: ["pbx01"] for group in ("pbx", "cti", "web", "database")}
    files.hosts["pbx01"]["proxmox_cores"] = 12
    (guest,) = files.cluster().guests
    assert guest.size == Size(12, 16384, 128)


def test_guests_have_card_addresses_of_their_own_that_stay(files: Inventory) -> None:
    first, second = files.cluster(), files.cluster()
    assert len({guest.mac for guest in first.guests}) == 3
    assert [guest.mac for guest in first.guests] == [guest.mac for guest in second.guests]
    assert all(int(guest.mac[:2], 16) & 3 == 2 for guest in first.guests)  # locally administered, unicast


def test_each_node_may_have_its_own_template(files: Inventory) -> None:
    files.settings["proxmox_template_node"] = "{{ proxmox_node }}"
    files.settings["proxmox_template_vmid"] = "{{ 9000 + proxmox_node[-1] | int }}"
    assert [(one.vmid, one.node) for one in files.cluster().templates] == [
        (9001, "pve1"),
        (9002, "pve2"),
        (9003, "pve3"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("proxmox_template_node", "{{ proxmox_node }}", "is that of 3 templates (centralino-debian-13 on pve1 from "),
        (
            "proxmox_template_name",
            "golden-{{ inventory_hostname }}",
            "is that of 3 templates (golden-cti01 on pve1 from ",
        ),
        (
            "proxmox_template_image_url",
            "https://images.example/{{ proxmox_node }}/debian.qcow2",
            "is that of 3 templates (centralino-debian-13 on pve1 from https://images.example/pve1/debian.qcow2, ",
        ),
    ],
)
def test_one_number_is_one_template(files: Inventory, name: str, value: str, says: str) -> None:
    files.settings[name] = value
    (sentence,) = refusal(files)
    assert sentence.startswith(ALL)
    assert f"proxmox_template_vmid 9000 {says}" in sentence
    assert "give each a number of its own" in sentence


def test_refuses_a_name_that_no_machine_can_have(files: Inventory) -> None:
    files.hosts["pbx_01"] = files.hosts.pop("pbx01")
    files.groups["pbx"] = ["pbx_01"]
    (sentence,) = refusal(files)
    assert sentence.startswith(
        "cluster: pbx_01 cannot be the name of a machine on Proxmox: call it by letters, digits "
    )
    assert "as pbx-01, in hosts.yml and host_vars" in sentence


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{{ inventory_hostname }}.example", "{}.example"),
        ("{{ site }}.example", "{}-site.example"),
        ("{{ far }}.example", "{}-site.example"),
        ("{{ lookup('ansible.builtin.vars', 'site') }}.example", "{}-site.example"),
        ("{{ lookup('ansible.builtin.file', cluster_secrets ~ '/' ~ inventory_hostname) }}.example", "{}-file.example"),
        (
            "{% if inventory_hostname == 'pbx01' %}one{% else %}{{ inventory_hostname }}{% endif %}.example",
            "{}.example",
        ),
    ],
)
def test_what_is_written_once_for_all_is_each_guests_own_where_it_differs(
    files: Inventory, written: str, read: str
) -> None:
    files.settings |= {"proxmox_search_domain": written, "far": "{{ site }}"}
    for name, variables in files.hosts.items():
        variables["site"] = f"{name}-site"
    files.write()
    for name in files.hosts:
        (files.secrets / name).write_text(f"{name}-file")
    for guest in files.cluster().guests:
        own = "one" if "{% if" in written and guest.name == "pbx01" else guest.name
        assert guest.search_domain == read.format(own)


def test_what_chance_decides_is_decided_for_each_guest(files: Inventory) -> None:
    files.settings["proxmox_search_domain"] = "a{{ range(1000000000000) | random }}.example"
    assert len({guest.search_domain for guest in files.cluster().guests}) == 3


def test_more_guests_are_no_more_templates_to_evaluate(files: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible.template import Templar  # type: ignore[import-untyped]  # noqa: PLC0415

    counted, whole = list[str](), Templar.template

    def count(self: Any, variable: Any, *rest: Any, **more: Any) -> Any:
        counted.append(str(variable))
        return whole(self, variable, *rest, **more)

    monkeypatch.setattr(Templar, "template", count)
    seen = []
    for number in (30, 60):
        files.hosts = {
            f"pbx{one}": {"ansible_host": f"198.18.0.{one}", "proxmox_node": "pve1", "proxmox_vmid": 100 + one}
            for one in range(10, 10 + number)
        }
        files.groups = {"pbx": list(files.hosts)}
        counted.clear()
        assert len(files.cluster().guests) == number
        seen.append(sum("{{" in text for text in counted))
    assert seen[0] == seen[1] > 0


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        (
            {"proxmox_memmory": 1},
            HOST + ":4",
            "proxmox_memmory is not a variable of the provisioner; did you mean proxmox_memory?",
        ),
        (
            {"asterisk_rtp_port_frst": 1},
            HOST + ":4",
            "asterisk_rtp_port_frst is not a variable of the role asterisk; did you mean asterisk_rtp_port_first?",
        ),
        ({"cluster_timezon": 1}, HOST + ":4", "cluster_timezon is not a variable of the cluster; did you mean"),
        ({"cluster_networks": {}}, HOST + ":4", "cluster_networks is {} and must be a list: The networks that"),
        ({"cluster_timezone": "{{ nowhere }}"}, "", "cannot be evaluated: 'nowhere' is undefined"),
        ({"ansible_host": None}, HOST + ":1", "ansible_host of pbx01 is not set"),
        (
            {"ansible_host": "pbx01.example"},
            HOST + ":1",
            "is 'pbx01.example': give it an IPv4 address in 198.18.0.0/24",
        ),
        ({"ansible_host": "203.0.113.7"}, HOST + ":1", "is 203.0.113.7, outside of 198.18.0.0/24"),
        ({"ansible_host": "198.18.0.1"}, HOST + ":1", "the network's own"),
        ({"ansible_host": "198.18.0.31"}, ":1", "pbx01 and web01 have the same address 198.18.0.31"),
        ({"proxmox_vmid": 121}, ":3", "cti01 and pbx01 have the same VMID 121"),
        ({"proxmox_vmid": 9000}, HOST + ":3", "is 9000, the template's"),
        ({"proxmox_vmid": 7}, HOST + ":3", "proxmox_vmid is 7 and must be greater than or equal to 100"),
        ({"proxmox_vmid": "one"}, HOST + ":3", "proxmox_vmid is 'one' and must be a valid integer"),
        ({"proxmox_memory": 64}, HOST + ":4", "proxmox_memory is 64 and must be greater than or equal to 512"),
        ({"proxmox_disk": 10**9}, HOST + ":4", "proxmox_disk is 1000000000 and must be less than or equal to"),
        ({"proxmox_cores": 0}, HOST + ":4", "proxmox_cores is 0 and must be greater than or equal to 1"),
        ({"proxmox_mac": "01:00:00:00:00:01"}, HOST + ":4", "must not be a multicast address"),
        ({"proxmox_node": "CHANGE-ME"}, HOST + ":2", "proxmox_node still says CHANGE-ME: set it"),
        ({"proxmox_node": "{{ nowhere }}"}, HOST + ":2", "proxmox_node cannot be evaluated: 'nowhere' is undefined"),
        ({"proxmox_tags": ["No Tag"]}, HOST + ":4", "proxmox_tags"),
        ({"proxmox_bridge": "vmbr0,tag=1"}, HOST + ":4", "proxmox_bridge is 'vmbr0,tag=1' and"),
        ({"ansible_user": "root"}, HOST + ":4", "but cloud-init makes the account 'ops'"),
        (
            {"proxmox_api_host": "other.example"},
            HOST + ":4",
            "proxmox_api_host of pbx01 is not that of the other guests",
        ),
    ],
)
def test_refuses_a_host_variable(files: Inventory, changes: dict[str, Any], place: str, says: str) -> None:
    files.hosts["pbx01"] |= changes
    sentences = refusal(files)
    assert len(sentences) == 1, sentences
    assert says in sentences[0]
    assert place in sentences[0].split(" ")[0]


def test_refuses_a_cluster_without_its_time_zone(files: Inventory) -> None:
    del files.whole["cluster_timezone"]
    meaning = vocabulary.cluster()["cluster_timezone"]["description"]
    assert refusal(files) == [f"cluster/group_vars/all: cluster_timezone is not set: {meaning}"]


def test_an_inventory_may_have_variables_of_its_own(files: Inventory) -> None:
    files.settings |= {"ours": 1, "application_extra_ours": "cti", "listens_ours": []}
    files.cluster()


def test_certificates_may_lie_beside_the_hosts(files: Inventory) -> None:
    files.write()
    for name in ("phone-vendors.pem", "programs.crt"):
        (files.folder / name).write_text("-----BEGIN CERTIFICATE-----\n", encoding="ascii")
    files.cluster()


def test_refuses_a_guest_without_address(files: Inventory) -> None:
    del files.hosts["pbx01"]["ansible_host"]
    assert refusal(files) == [f"{HOST}: ansible_host of pbx01 is not set: give the guest its IPv4 address"]


def test_refuses_a_guest_without_size(files: Inventory) -> None:
    files.groups["pbx"], files.groups["stun"] = [], ["pbx01"]
    assert len(refusal(files)) == 3
    files.hosts["pbx01"] |= {"proxmox_cores": 1, "proxmox_memory": 1024, "proxmox_disk": 8}
    assert files.cluster().guests[1].size == Size(1, 1024, 8)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("proxmox_storage", None, "proxmox_storage is None and must be a valid string"),
        ("proxmox_api_token_id", "root", "proxmox_api_token_id is 'root' and"),
        (
            "proxmox_api_token_secret",
            "{{ lookup('ansible.builtin.file', '/nowhere/token') }}",
            "/nowhere/token does not exist",
        ),
        ("proxmox_api_fingerprint", "ab" * 32, "proxmox_api_ca and proxmox_api_fingerprint are both set"),
        ("proxmox_api_ca", "missing.pem", "proxmox_api_ca names cluster/missing.pem, which does not exist"),
        ("proxmox_template_image_url", "https://x.example/a.iso", "proxmox_template_image_url is"),
        ("proxmox_template_image_checksum", "sha512:12", "must be sha256:, sha384: or sha512:"),
        ("proxmox_nameservers", ["dns.example"], "proxmox_nameservers is ['dns.example'] and"),
        ("proxmox_ssh_public_key", "ssh-ed25519 AAAA nobody", "is none: it must read as"),
        ("proxmox_ssh_public_key", "other.pub", "the public key cluster/other.pub does not exist"),
        ("proxmox_storrage", "x", "did you mean proxmox_storage?"),
    ],
)
def test_refuses_a_cluster_variable_once(files: Inventory, name: str, value: Any, says: str) -> None:
    files.settings[name] = value
    sentences = refusal(files)
    assert len(sentences) == (3 if "public_key" in name and "none" in says else 1), sentences
    assert says in sentences[0]
    assert sentences[0].startswith(ALL)


def test_names_what_is_required(files: Inventory) -> None:
    del files.settings["proxmox_bridge"]
    assert "proxmox_bridge is not set for cti01" in refusal(files)[0]


def test_a_private_key_without_its_public_half(files: Inventory) -> None:
    files.write()
    (files.secrets / "ssh/id_ed25519.pub").unlink()
    with pytest.raises(ProvisionerError, match=re.escape("ssh-keygen -y -f cluster/.secrets/ssh/id_ed25519")):
        reader.read(inventory.load("cluster"))
    (files.secrets / "ssh/id_ed25519").unlink()
    assert reader.read(inventory.load("cluster")).guests[0].access.public_key is None


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "must read as `ssh-ed25519"), (b"\xff\xfe\x00", "id_ed25519.pub cannot be read as a public key")],
)
def test_a_public_key_that_is_none(files: Inventory, content: bytes, says: str) -> None:
    """As a full disk leaves it, or the file of another program."""
    files.write()
    (files.secrets / "ssh/id_ed25519.pub").write_bytes(content)
    with pytest.raises(ProvisionerError, match=re.escape(says)):
        reader.read(inventory.load("cluster"))


def test_a_home_that_nobody_has(files: Inventory) -> None:
    files.settings["proxmox_ssh_private_key"] = "~nobody-at-all/id_ed25519"
    assert "~nobody-at-all/id_ed25519 of cti01 begins with the home of an account" in refusal(files)[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "-i", "nowhere"], "nowhere: there is no such inventory"),
        (
            ["plan", "-i", "cluster", "--limit", "pbx09"],
            "pbx09 is no guest of this inventory: it has cti01, pbx01, web01",
        ),
    ],
)
def test_one_sentence_and_no_traceback(
    files: Inventory, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    files.write()
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_a_file_in_a_folders_place_is_a_sentence(files: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    files.settings["proxmox_journal"] = ".secrets/ssh"
    files.write()
    assert cli.main(["apply", "-i", "cluster"]) == 1
    said = capsys.readouterr().err
    assert (said.startswith("proxmox: "), said.count("\n")) == (True, 1), said
    assert "/cluster/.secrets/ssh: Is a directory: correct its name" in said


def test_yaml_that_is_none(files: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    files.write()
    (files.folder / "hosts.yml").write_text("guests: [unclosed\n")
    assert cli.main(["plan", "-i", "cluster"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_an_inventory_without_guests(files: Inventory) -> None:
    files.groups = {}
    assert "the group `guests` has no hosts" in refusal(files)[0]


def test_secrets_stay_out_of_what_is_printed(files: Inventory) -> None:
    assert "0123456789" not in repr(files.cluster())
    files.settings["proxmox_api_token_secret"] = "short"
    assert "short" not in "\n".join(refusal(files))


def test_the_two_inventories(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example names every value to set and nothing else; the lab's variables are all known."""
    assert cli.main(["plan", "-i", "inventories/example"]) == 1
    said = capsys.readouterr().err.splitlines()
    sentences = [line for line in said if line.startswith("proxmox: ")]
    assert sentences
    assert all("CHANGE-ME" in line or "does not exist" in line for line in sentences)
    state = tmp_path / "proxmox"
    state.mkdir()
    (state / "ca.pem").write_text("the stand-in's\n")
    (state / "token.json").write_text('{"id": "automation@pve!centralino", "secret": "0123456789"}')
    monkeypatch.setenv("CENTRALINO_LAB_STATE", str(tmp_path))
    guests = reader.read(inventory.load("inventories/lab"))
    assert {guest.size for guest in guests.guests} == {Size(4, 4096, 32), Size(4, 8192, 32), Size(8, 16384, 128)}
