"""Attack an Asterisk for real, from a network behind the guest, and look at who is banned when, and who is not."""

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenario_fixtures import Refused, within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3]))

from centralino.asterisk.render import render
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

Register = Callable[..., str]

HERE = "192.0.2.1"
GUESSER, CRACKER, SCANNER, HONEST, FORGER, VICTIM, PROBE = ADDRESSES = [f"192.0.2.{number}" for number in range(71, 78)]
"""SIPVicious sends from the first, whatever it is told; fail2ban remembers its ban for a while."""
ACCOUNT, SECRET = "t175-k3jd84mfn2qa", "Pr1vat3Pr1vat3Pr1vat3"
SECURITY_LOG = "/var/log/asterisk/security.log"
FORGED = (
    f'",LocalAddress="IPV4/UDP/{HERE}/5060",RemoteAddress="IPV4/UDP/{VICTIM}/5060",Challenge="a",Response="b",'
    'ExpectedResponse=""'
)
"""What follows the Call-ID on the line of a failure, with somebody else's address."""
RELEASE = "/var/lib/centralino/agent/current"
ATTACKER = Path(__file__).with_name("attacker.py").read_text()


@pytest.fixture(scope="module", autouse=True)
def asterisk(host: Host) -> None:
    """Give Asterisk one account, as a release does, and the attackers their tools."""
    device = Device(endpoint=ACCOUNT, secret=SECRET, transport="udp")
    extension = Extension(number="101", name="Reception", devices=(device,))
    snapshot = Snapshot(pbx="molecule-fail2ban", tenants=(Tenant(id=175, name="Rossi", extensions=(extension,)),))
    host.check_output("mkdir -p %s", RELEASE)
    for name, text in render(snapshot).files.items():
        host.check_output(f"printf %s {shlex.quote(text)} > {RELEASE}/{name}")
    host.check_output("asterisk -rx 'core reload'; asterisk -rx 'module reload res_pjsip.so'")
    assert within(10, lambda: ACCOUNT in host.check_output("asterisk -rx 'pjsip show endpoints'"))
    host.check_output("apt-get -qq install --yes --no-install-recommends sipvicious >/dev/null")


@pytest.fixture(scope="module")
def behind(host: Host, asterisk: None) -> Iterator[str]:  # noqa: ARG001 - after that
    """Give the guest another network, where attackers and phones are; return how a command runs there."""
    for command in (
        "ip netns add behind",
        "ip link add near type veth peer name far netns behind",
        f"ip address add {HERE}/24 dev near",
        "ip link set near up",
        *(f"ip -n behind address add {address}/24 dev far" for address in ADDRESSES),
        "ip -n behind link set far up",
    ):
        host.check_output(command)
    yield "ip netns exec behind"
    host.check_output("ip link delete near; ip netns delete behind")


@pytest.fixture(scope="module")
def register(host: Host, behind: str) -> Register:
    """Return a phone: address, password, account, Call-ID, digest; it tells the status that it got."""

    def phone(address: str, password: str, account: str = ACCOUNT, call_id: str = "", response: str = "") -> str:
        arguments = [address, HERE, account, password, call_id, response]
        return str(host.check_output(f"{behind} python3 -c {shlex.join([ATTACKER, *arguments])}"))

    return phone


def banned(host: Host) -> str:
    return str(host.check_output("nft list set inet centralino bans4"))


def lift(host: Host, address: str) -> None:
    host.check_output("centralino ban lift %s", address)
    assert within(5, lambda: address not in banned(host))


def test_the_third_wrong_password_is_one_too_many(host: Host, register: Register) -> None:
    assert register(CRACKER, "wrong one") == "401"
    assert register(CRACKER, "wrong two") == "401"
    time.sleep(2)
    assert CRACKER not in banned(host), "one attempt counts once"
    assert register(CRACKER, "wrong three") == "401"
    assert within(2, lambda: CRACKER in banned(host))
    assert register(CRACKER, SECRET) == "silence"
    assert "3 wrong SIP passwords" in host.check_output("centralino ban list")
    left = re.search(rf"{CRACKER} timeout 1d expires (\S+)", banned(host).replace("\n", " "))
    assert left, banned(host)
    lift(host, CRACKER)
    assert register(CRACKER, SECRET) == "200"


def test_who_was_lifted_and_goes_on_is_banned_again(host: Host, register: Register) -> None:
    time.sleep(11)  # fail2ban forgets its own ban
    for number in range(3):
        register(CRACKER, f"wrong {number}")
    assert within(2, lambda: CRACKER in banned(host))
    lift(host, CRACKER)


def test_an_honest_phone_with_one_typo_is_not_banned(host: Host, register: Register) -> None:
    assert register(HONEST, SECRET.lower()) == "401"
    for _ in range(4):
        assert register(HONEST, SECRET) == "200"
    time.sleep(2)
    assert HONEST not in banned(host)


def test_svcrack_finds_nothing(host: Host, behind: str) -> None:
    words = "\n".join([*(f"password{number}" for number in range(2000)), SECRET])
    host.check_output(f"printf '%s\\n' {shlex.quote(words)} > /tmp/words")
    attack = f"{behind} timeout 20 svcrack -u {ACCOUNT} -d /tmp/words {HERE}"
    said = host.run(attack)
    assert GUESSER in banned(host)
    assert SECRET not in said.stdout + said.stderr
    tried = host.check_output(f"grep -c 'ChallengeResponseFailed.*{GUESSER}/' {SECURITY_LOG}")
    print(f"svcrack: {tried} wrong passwords in all before each ban was in force")  # noqa: T201 - for the log
    lift(host, GUESSER)


def test_a_scanner_is_out_after_twenty_accounts(host: Host, register: Register) -> None:
    answered = int(register(SCANNER, "", account="10", call_id='a "quoted" name'))
    assert within(3, lambda: SCANNER in banned(host))
    assert answered < 100
    assert "20 requests for SIP accounts that do not exist" in host.check_output("centralino ban list")
    lift(host, SCANNER)


def test_svwar_finds_nothing(host: Host, behind: str) -> None:
    """Every account is answered as one that is not there, and the tool gives up."""
    said = host.run(f"{behind} timeout 20 svwar --force -m REGISTER -e 100-150 {HERE}")
    assert "found nothing" in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("call_id", "response"),
    [
        (f"x{FORGED}", ""),
        (f"x{FORGED}\\", ""),
        ('x"', FORGED.replace('"', '\\"')),
    ],
)
def test_a_forger_is_banned_for_what_it_writes_and_nobody_else(
    host: Host, register: Register, call_id: str, response: str
) -> None:
    for _ in range(3):
        register(FORGER, "wrong", call_id=call_id, response=response)
    assert within(3, lambda: FORGER in banned(host)), host.check_output(f"tail -3 {SECURITY_LOG}")
    assert VICTIM not in banned(host)
    lift(host, FORGER)
    time.sleep(11)  # fail2ban forgets its own ban


def test_the_filters_count_each_attempt_once(host: Host, register: Register) -> None:
    host.check_output("systemctl stop fail2ban")
    try:
        host.check_output(f"cp {SECURITY_LOG} /tmp/before")
        for number in range(5):
            register(HONEST, f"wrong {number}")
        host.check_output(f"diff /tmp/before {SECURITY_LOG} | sed -n 's/^> //p' > /tmp/attempts")
        said = host.check_output("fail2ban-regex /tmp/attempts centralino-sip-password")
        assert re.search(r"\b5 matched", said), said + host.check_output("cat /tmp/attempts")
        said = host.check_output("fail2ban-regex /tmp/attempts centralino-sip-account")
        assert re.search(r"\b0 matched", said), said
    finally:
        host.check_output(f": > {SECURITY_LOG}; systemctl start fail2ban")
        assert within(20, lambda: "sip-account" in host.run("fail2ban-client status").stdout)


def test_the_tenth_unknown_phone_is_one_too_many(host: Host) -> None:
    line = f"WARNING centralino.panel.phones: phone refused: address={PROBE} mac=001565a1b2c3"
    # The panel's own unit writes it, so that the journal has it under its name.
    say = f"for n in $(seq {{}}); do echo {line}; done"
    panel = "/etc/systemd/system/centralino-panel.service.d"
    host.check_output(f"mkdir -p {panel}")

    def refused(times: int) -> None:
        unit = f"[Service]\nExecStartPre=/bin/sh -c {shlex.quote(say.format(times))}\n"
        host.check_output(f"printf %s {shlex.quote(unit)} > {panel}/test.conf")
        host.check_output("systemctl daemon-reload && systemctl restart centralino-panel")

    try:
        refused(9)
        time.sleep(2)
        assert PROBE not in banned(host)
        refused(1)
        assert within(5, lambda: PROBE in banned(host))
    finally:
        host.check_output(f"rm -r {panel}; systemctl daemon-reload; systemctl restart centralino-panel")
    assert within(10, lambda: PROBE in host.run("centralino ban list").stdout)
    lift(host, PROBE)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"fail2ban_jails": []}, "name one or more of sip-password, sip-account, phones, each once"),
        (
            {"fail2ban_jails": [{"name": "phones", "failures": 0, "within": 60, "ban": 60}]},
            "The jail phones in fail2ban_jails of molecule-fail2ban bans for 60 s after 0 failures",
        ),
        ({"fail2ban_ignored": ["office"]}, "give addresses and networks, such as 192.0.2.7"),
        ({"fail2ban_report_socket": "/nowhere"}, "/nowhere is not on molecule-fail2ban: apply the role bans first"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = host.check_output("systemctl show --property MainPID,NeedDaemonReload fail2ban")
    assert sentence in refused(variables)
    assert host.check_output("systemctl show --property MainPID,NeedDaemonReload fail2ban") == before


def test_it_cannot_be_left_without_its_action(host: Host) -> None:
    assert host.run("systemctl reload fail2ban").failed, "a reload loses actions that are written in Python"
    for jail in ("sip-password", "sip-account", "phones"):
        assert "centralino" in host.check_output(f"fail2ban-client get {jail} actions")


def test_it_watches_what_it_is_told_and_changes_no_firewall(host: Host) -> None:
    assert "sip-account, sip-password" in host.check_output("fail2ban-client status").replace("phones, ", "")
    assert "sshd" not in host.check_output("fail2ban-client status")
    assert "f2b" not in host.check_output("nft list ruleset")


def test_it_is_confined(host: Host, exposure: Callable[[str], float]) -> None:
    assert host.service("fail2ban").is_enabled
    assert exposure("fail2ban.service") <= 2.5
