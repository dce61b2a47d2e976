"""Asterisk once every variable is changed: other ports, another certificate, another name and country."""

import re
import ssl
from typing import Any

import pytest
from dialogue import manager, sip_options, tls_context
from scenario_fixtures import within
from testinfra.host import Host

pytestmark = pytest.mark.usefixtures("changed")


@pytest.fixture
def context(host: Host) -> ssl.SSLContext:
    return tls_context(host.file("/etc/centralino/pki/ca.crt").content_string)


def cli(host: Host, command: str) -> str:
    return str(host.check_output("asterisk -rx %s", command))


def test_it_listens_where_it_is_told_alone(host: Host, address: str, changed: dict[str, Any]) -> None:
    def listening() -> list[str]:
        """Return the sockets but for those at ports that the kernel has chosen, from which Asterisk itself asks."""
        found = host.check_output("ss --no-header --listening --numeric --tcp --udp --processes")
        sockets = [line.split()[4] for line in found.splitlines() if "asterisk" in line]
        return sorted(each for each in sockets if int(each.rpartition(":")[2]) < 32768)

    ports = (changed["asterisk_manager_port"], changed["asterisk_sip_port"], changed["asterisk_sip_tls_port"])
    wanted = sorted(["127.0.0.1:5038", *(f"{address}:{port}" for port in ports)])
    assert within(20, lambda: listening() == wanted), listening()


def test_sip_and_the_manager_interface_answer_there(
    address: str, context: ssl.SSLContext, changed: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert f"\r\nServer: {changed['asterisk_user_agent']}\r\n" in sip_options(address, changed["asterisk_sip_port"])
    assert sip_options(address, changed["asterisk_sip_tls_port"], context=context).startswith("SIP/2.0 ")
    user = variables["asterisk_manager_users"][0]
    with manager(address, changed["asterisk_manager_port"], context) as ami:
        assert ami.action("Login", Username=user["name"], Secret=user["secret"])["Response"] == "Success"


@pytest.mark.parametrize("name", ["asterisk_sip_tls_port", "asterisk_manager_port"])
def test_tls_12_has_the_one_cipher(host: Host, address: str, changed: dict[str, Any], name: str) -> None:
    ask = f"openssl s_client -connect {address}:{changed[name]} -tls1_2 </dev/null 2>&1"
    assert f"Cipher is {changed['asterisk_tls_ciphers'][0]}" in host.run(ask).stdout
    assert "handshake failure" in host.run(f"{ask} -cipher ECDHE-ECDSA-AES256-GCM-SHA384").stdout


def test_what_runs_is_what_is_told(host: Host, changed: dict[str, Any]) -> None:
    settings = cli(host, "core show settings")
    assert re.search(r"System name: +pbx99\n", settings)
    assert re.search(r"Default language: +it\n", settings)
    assert re.search(r"Maximum open file handles: +2048\n", settings)
    assert re.search(r"Port start: +30000\n +Port end: +30200\n", cli(host, "rtp show settings"))
    assert changed["asterisk_tones"]["description"] in cli(host, "indication show")
    assert "Running" in cli(host, "module show like func_devstate")
    transport = cli(host, "pjsip show transport transport-udp")
    assert re.search(r"external_signaling_address +: 203\.0\.113\.5\b", transport)
    assert re.search(r"local_net +: 127\.0\.0\.0/", transport)


def test_the_release_and_the_logs_are_where_they_are_told_to_be(host: Host, changed: dict[str, Any]) -> None:
    assert host.check_output("readlink /etc/asterisk/release") == changed["asterisk_release_path"]
    (channel,) = [line for line in cli(host, "logger show channels").splitlines() if "messages.log" in line]
    assert {"NOTICE", "WARNING", "ERROR"} & set(channel.upper().split()) == {"ERROR"}
    host.check_output(
        "for turn in 1 2 3 4; do date >> /var/log/asterisk/messages.log; logrotate -f /etc/logrotate.d/asterisk; done"
    )
    kept = host.check_output("ls /var/log/asterisk/").split()
    assert len([name for name in kept if name.startswith("messages.log.")]) == changed["asterisk_log_keep"]
