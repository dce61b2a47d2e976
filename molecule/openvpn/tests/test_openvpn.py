"""Real clients connect to the server, reach what they may and nothing else, are revoked and are gone."""

import json
import tarfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from clients import ECHO, SWITCH, Client
from scenario_fixtures import Converge, Exposure, Refused, within
from testinfra.host import Host

UNIT = "centralino-openvpn.service"
STATE = "/var/lib/centralino/vpn"
COMMAND = "centralino-vpn"
OLD_LIST = """
from datetime import UTC, datetime, timedelta
from pathlib import Path
from centralino.vpn import authority, config
from centralino.vpn.store import Store
signer = Store(config.load(Path("/etc/centralino/vpn.toml")))._authority()
past = authority.revocation_list(signer, [], datetime.now(UTC) - timedelta(days=100), 30)
Path("/var/lib/centralino/vpn/crl.pem").write_bytes(past)
"""
"""Puts a revocation list in place that is past its date."""


@pytest.fixture(scope="module", autouse=True)
def networks(host: Host) -> Iterator[None]:
    """Make the networks outside and beyond, with services that must and must not be reached."""
    for command in SWITCH:
        host.check_output(command)
    host.check_output("systemd-run --quiet --unit=echo-here python3 -c %s", ECHO)
    host.check_output("systemd-run --quiet --unit=echo-beyond ip netns exec beyond python3 -c %s", ECHO)
    yield
    host.check_output("systemctl stop echo-here echo-beyond; ip link delete outside; ip link delete near")
    host.check_output("ip netns delete beyond")


@pytest.fixture
def anna(host: Host) -> Iterator[Client]:
    yield from plugged_in(Client(host, "anna", 11))


@pytest.fixture
def bruno(host: Host) -> Iterator[Client]:
    yield from plugged_in(Client(host, "bruno", 12))


def plugged_in(client: Client) -> Iterator[Client]:
    """Have a client for a test, without a profile before and after it."""
    client.appear()
    yield client
    client.vanish()
    client.host.run(f"{COMMAND} revoke {client.name}")


@pytest.fixture
def add(host: Host) -> Callable[[str], str]:
    """Return a function that makes a profile."""

    def make(name: str) -> str:
        return str(host.check_output(f"{COMMAND} add {name}"))

    return make


def main_process(host: Host) -> str:
    return str(host.check_output("systemctl show --property MainPID,NeedDaemonReload %s", UNIT))


def rows(host: Host) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(host.check_output(f"{COMMAND} list --json"))}


def test_a_client_reaches_what_the_firewall_names_and_nothing_else(
    anna: Client, add: Callable[[str], str], address: str
) -> None:
    anna.start(add("anna"))
    assert anna.connected()
    assert anna.ask("udp", "10.75.0.1", 16000) == anna.address
    assert anna.ask("tcp", "10.75.0.1", 443) == anna.address
    assert anna.ask("tcp", "192.0.2.31", 443) == "192.0.2.1", "beyond, the server's own address is seen"
    for protocol, where, port in (
        ("tcp", "10.75.0.1", 22),
        ("tcp", "10.75.0.1", 8001),  # open to everybody outside
        ("udp", "10.75.0.1", 5090),
        ("tcp", "192.0.2.31", 8443),
        ("tcp", "192.0.2.32", 443),
        ("tcp", "192.0.2.1", 443),
    ):
        assert anna.ask(protocol, where, port) == "", (protocol, where, port)
    anna.host.check_output(f"ip -n anna route add {address} dev tun0")
    assert anna.ask("tcp", address, 22) == "", "the guest's own address is not named"


def test_one_client_cannot_see_another(anna: Client, bruno: Client, add: Callable[[str], str]) -> None:
    anna.start(add("anna"))
    bruno.start(add("bruno"))
    assert anna.connected()
    assert bruno.connected()
    assert anna.address != bruno.address
    bruno.host.check_output("systemd-run --quiet --collect --unit=echo-bruno ip netns exec bruno python3 -c %s", ECHO)
    assert within(20, lambda: "8443" in bruno.host.check_output("ip netns exec bruno ss -Hltn"))
    assert bruno.ask("tcp", "10.75.0.1", 443) == bruno.address
    assert anna.ask("tcp", bruno.address, 443) == ""
    assert anna.ask("udp", bruno.address, 16000) == ""
    bruno.host.check_output("systemctl stop echo-bruno")


def test_a_revoked_client_is_gone_at_once_and_stays_out(
    host: Host, anna: Client, bruno: Client, add: Callable[[str], str]
) -> None:
    profile = add("anna")
    anna.start(profile)
    bruno.start(add("bruno"))
    assert anna.connected()
    assert bruno.connected()
    assert rows(host)["anna"]["state"] == "connected"

    assert "1 session ended" in host.check_output(f"{COMMAND} revoke anna")
    assert anna.ask("udp", "10.75.0.1", 16000) == "", "not one packet passes any more"
    assert rows(host)["anna"]["state"].startswith("revoked")
    anna.start(profile)
    assert not anna.connected(6)
    assert "certificate revoked" in host.check_output(f"journalctl --output=cat --no-pager --unit={UNIT} --lines=200")
    assert bruno.ask("udp", "10.75.0.1", 16000) == bruno.address, "the others notice nothing"

    anna.start(add("anna"))
    assert anna.connected(), "the name is free again, for another certificate"


def test_a_client_keeps_its_address(host: Host, anna: Client, bruno: Client, add: Callable[[str], str]) -> None:
    profile = add("anna")
    anna.start(profile)
    assert anna.connected()
    before = anna.address
    anna.stop()
    host.check_output(f"systemctl restart {UNIT}")
    bruno.start(add("bruno"))
    assert bruno.connected()
    anna.start(profile)
    assert anna.connected()
    assert anna.address == before


def test_a_phone_takes_its_tar(host: Host, anna: Client) -> None:
    packed = b64decode(host.check_output(f"{COMMAND} add anna --phone | base64"))
    with tarfile.open(fileobj=BytesIO(packed)) as tar:
        assert tar.getnames() == ["vpn.cnf"]
        file = tar.extractfile("vpn.cnf")
        assert file
        anna.start(file.read().decode())
    assert anna.connected()


def without(profile: str, part: str) -> str:
    before, _, rest = profile.partition(f"<{part}>")
    return before + rest.partition(f"</{part}>")[2]


def test_who_has_no_key_of_his_own_gets_no_answer(anna: Client, add: Callable[[str], str]) -> None:
    anna.start(without(add("anna"), "tls-crypt-v2"))
    assert not anna.connected(6)
    assert not anna.said("TLS: Initial packet from"), "the server has not answered"


def test_a_guests_certificate_is_no_clients(host: Host, anna: Client, add: Callable[[str], str]) -> None:
    guest = "/etc/centralino/pki/molecule-openvpn"
    profile = without(without(add("anna"), "cert"), "key")
    anna.start(profile, f"--cert {guest}.crt --key {guest}.key")
    assert not anna.connected(6)
    log = host.check_output(f"journalctl --output=cat --no-pager --unit={UNIT} --lines=200")
    assert "VERIFY ERROR" in log


@pytest.mark.parametrize(
    "weaker",
    [("data-ciphers AES-256-CBC",), ("tls-version-min 1.0", "tls-version-max 1.1", "tls-cipher DEFAULT:@SECLEVEL=0")],
)
def test_weak_encryption_is_refused(anna: Client, add: Callable[[str], str], weaker: tuple[str, ...]) -> None:
    words = {option.split()[0] for option in weaker}
    lines = [line for line in add("anna").splitlines() if line.split(" ")[0] not in words]
    anna.start("\n".join([*weaker, *lines]) + "\n")
    assert not anna.connected(6)


def test_a_client_insists_on_this_guest(anna: Client, add: Callable[[str], str]) -> None:
    """Every guest has a certificate that the same authority signed; its name makes the difference."""
    anna.start(add("anna").replace("verify-x509-name molecule-openvpn", "verify-x509-name pbx01"))
    assert not anna.connected(6)
    assert anna.said("VERIFY X509NAME ERROR")


def test_no_profiles_key_is_kept(host: Host, add: Callable[[str], str]) -> None:
    profile = add("kept")
    key = profile.partition("<key>")[2].partition("</key>")[0].splitlines()[2]
    assert host.run(f"grep --recursive --fixed-strings {key} {STATE} /etc/centralino").rc == 1
    host.check_output(f"{COMMAND} revoke kept")


def test_the_authority_is_roots_alone(host: Host) -> None:
    modes = host.check_output(f"stat --format '%U %G %a %n' {STATE}/*").splitlines()
    assert f"root centralino-vpn 600 {STATE}/authority.key" in modes
    assert f"root centralino-vpn 640 {STATE}/crl.pem" in modes
    server = ["setpriv", "--reuid=centralino-vpn", "--regid=centralino-vpn", "--clear-groups"]
    assert host.run(" ".join([*server, "cat", f"{STATE}/authority.key"])).rc != 0
    assert host.run(" ".join([*server, "touch", f"{STATE}/crl.pem"])).rc != 0


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("add Anna", "take a name of small letters, digits, - and ."),
        ("add ../anna", "take a name of small letters, digits, - and ."),
        ("revoke nobody", "there is none in force: see `centralino-vpn list`"),
        ("add anna --output /nowhere/anna.ovpn", "name a new file in a folder that exists"),
    ],
)
def test_the_command_answers_bad_input_with_a_sentence(host: Host, command: str, sentence: str) -> None:
    before = host.check_output(f"sha256sum {STATE}/crl.pem; cat {STATE}/profiles.json || true")
    answer = host.run(f"{COMMAND} {command}")
    assert (answer.rc, answer.stdout) == (1, "")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert host.check_output(f"sha256sum {STATE}/crl.pem; cat {STATE}/profiles.json || true") == before


def test_a_name_is_given_once(host: Host, add: Callable[[str], str]) -> None:
    add("twice")
    assert "there is one of this name" in host.run(f"{COMMAND} add twice").stderr
    host.check_output(f"{COMMAND} revoke twice")


def test_a_revocation_list_past_its_date_is_renewed_before_it_bites(
    host: Host, anna: Client, add: Callable[[str], str]
) -> None:
    profile = add("anna")
    put_old_list(host)
    host.check_output("systemctl start centralino-vpn-refresh.service")
    anna.start(profile)
    assert anna.connected()
    assert host.service("centralino-vpn-refresh.timer").is_running
    assert host.service("centralino-vpn-refresh.timer").is_enabled


def test_one_that_cannot_be_renewed_leaves_the_running_service_alone(host: Host, converge: Converge) -> None:
    before = main_process(host)
    put_old_list(host)
    host.check_output(f"mv {STATE}/authority.key {STATE}/away")
    try:
        said = " ".join(converge(fails=True).split())
        assert f"{STATE}/authority.key: cannot be read (No such file or directory): put it back from a backup" in said
        assert main_process(host) == before
    finally:
        host.check_output(f"mv {STATE}/away {STATE}/authority.key")
    converge()
    assert main_process(host) == before


def put_old_list(host: Host) -> None:
    python = host.check_output("ls -d /opt/centralino/*/bin/python")
    host.check_output(f"{python} -c %s", OLD_LIST)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"openvpn_network": "10.75.0.1/20"}, "a network of IPv4 that nothing else uses"),
        ({"openvpn_network": "198.18.0.0/24", "openvpn_routes": []}, "give the VPN a network of its own"),
        ({"openvpn_remote": ""}, "a name or address that clients reach"),
        ({"openvpn_port": 443}, "a port from 1024 to 65535"),
        ({"openvpn_routes": ["203.0.113.1"]}, "which clients must reach outside of the VPN"),
        ({"openvpn_interface": "vpn-0"}, "take 1 to 15 letters, digits and _"),
        ({"openvpn_crl_days": 1}, "7 to 3650"),
        ({"openvpn_network": "10.75.0.0/28", "openvpn_max_clients": 14}, "13 have an address in openvpn_network"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = main_process(host)
    assert sentence in refused(variables)
    assert main_process(host) == before


def test_a_new_certificate_of_the_guest_is_taken_without_a_restart(
    host: Host, anna: Client, add: Callable[[str], str]
) -> None:
    before = main_process(host)
    profile = add("anna")
    host.check_output("systemctl reload centralino-certificate.service")
    anna.start(profile)
    assert anna.connected()
    assert main_process(host) == before


def test_it_comes_back_after_a_crash(host: Host, anna: Client, add: Callable[[str], str]) -> None:
    host.check_output(f"systemctl kill --signal SIGKILL {UNIT}")
    assert within(10, lambda: host.service("centralino-openvpn").is_running)
    anna.start(add("anna"))
    assert anna.connected()


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("centralino-openvpn").is_enabled
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%U /proc/%s", main) == "centralino-vpn"
    assert exposure(UNIT) <= 4.0
    assert exposure("centralino-vpn-refresh.service") <= 2.5
