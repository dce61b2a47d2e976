"""A phone whose only way to the PBX is the VPN: it registers, calls, is revoked and is gone."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import SWITCH, Client
from scenario_fixtures import within
from testinfra.host import Host

SCENARIOS = Path(__file__).parents[3] / "lab" / "phones"
"""SIPp's, the same that the lab's phones play."""
RELEASE = "/var/lib/centralino/agent/current"
ACCOUNT, SECRET = "t9-k3w8qz5m1xvb", "Jw7RtXv2QmKp9ZsLd4Hn"
PJSIP = f"""
[{ACCOUNT}]
type = endpoint
context = t9-internal
disallow = all
allow = alaw
auth = {ACCOUNT}
aors = {ACCOUNT}
rtp_symmetric = yes

[{ACCOUNT}]
type = auth
auth_type = userpass
username = {ACCOUNT}
password = {SECRET}

[{ACCOUNT}]
type = aor
max_contacts = 1
"""
EXTENSIONS = """
[t9-internal]
exten => 200,1,Answer()
same => n,Echo()
"""
COUNT_RTP = """
table inet phone {
  counter rtp { }
  chain input {
    type filter hook input priority 0
    iifname "tun0" udp dport 30000-30100 counter name rtp
  }
}
"""


@pytest.fixture(scope="module")
def asterisk(host: Host) -> Iterator[Host]:
    """Give Asterisk an account and a number to call, and the guest SIPp."""
    for command in SWITCH:
        host.check_output(command)
    host.check_output("apt-get -qq install --yes --no-install-recommends sip-tester >/dev/null")
    host.check_output(f"mkdir -p {RELEASE} /run/scenarios")
    host.check_output(f"printf %s {shlex.quote(PJSIP)} > {RELEASE}/pjsip.conf")
    host.check_output(f"printf %s {shlex.quote(EXTENSIONS)} > {RELEASE}/extensions.conf")
    for name in ("register", "call"):
        text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
        host.check_output(f"printf %s {shlex.quote(text)} > /run/scenarios/{name}.xml")
    host.check_output("asterisk -rx 'core reload' && sleep 2")
    yield host
    host.check_output(f"rm -r {RELEASE} /run/scenarios; asterisk -rx 'core reload'")
    host.check_output("ip link delete outside; ip link delete near; ip netns delete beyond")


def play(phone: Client, scenario: str, *options: str) -> str:
    """Have SIPp play a scenario at the PBX's address inside the VPN. Returns what went wrong, empty for nothing."""
    command = [
        *("ip", "netns", "exec", phone.name, "timeout", "20", "sipp", "10.75.0.1:5060"),
        *("-sf", f"/run/scenarios/{scenario}.xml", "-i", phone.address, "-p", "5060", "-mi", phone.address, "-m", "1"),
        *("-min_rtp_port", "30000", "-max_rtp_port", "30100", "-nostdin", "-timeout", "10s", "-timeout_error"),
        *("-key", "account", ACCOUNT, "-au", ACCOUNT, "-ap", SECRET, "-key", "run", "1", *options),
    ]
    told = phone.host.run(f"{shlex.join(command)} || exit 1")  # SIPp's 255 would be taken for SSH's own
    return f"{told.stdout[-500:]}{told.stderr}" if told.rc else ""


def test_a_phone_registers_calls_is_revoked_and_is_gone(asterisk: Host) -> None:
    phone = Client(asterisk, "desk", 21)
    phone.appear()
    try:
        phone.start(asterisk.check_output("centralino-vpn add desk"))
        assert phone.connected()
        asterisk.check_output(f"ip netns exec desk nft {shlex.quote(COUNT_RTP)}")
        assert play(phone, "register", "-key", "expires", "300") == ""
        contacts = asterisk.check_output("asterisk -rx 'pjsip show contacts'")
        assert f"sip:{ACCOUNT}@{phone.address}:" in contacts, contacts

        assert play(phone, "call", "-s", "200", "-d", "3000") == ""
        counted = asterisk.check_output("ip netns exec desk nft list counter inet phone rtp")
        packets = int(counted.split("packets ")[1].split()[0])
        assert packets > 50, "the PBX sends back what it hears: some 100 packets in 3 s"

        assert "1 session ended" in asterisk.check_output("centralino-vpn revoke desk")
        assert "register timed out" in play(phone, "register", "-key", "expires", "300")
        assert within(5, lambda: "connected" not in asterisk.check_output("centralino-vpn list"))
    finally:
        phone.vanish()
        asterisk.run("centralino-vpn revoke desk")
