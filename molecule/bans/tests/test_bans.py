"""Attack a guest from a network behind it, and look at who gets through, when and for how long."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from scenario_fixtures import Refused, within
from testinfra.host import Host

UNIT = "centralino-bans.service"
ATTACKER, NEIGHBOUR = "192.0.2.77", "192.0.2.78"
HERE = "192.0.2.1"
REPORT = """
import json, socket, sys
report = {"address": sys.argv[1], "part": "sip", "reason": "3 wrong SIP passwords", "seconds": int(sys.argv[2])}
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(json.dumps(report).encode(), "/run/centralino-bans/report.sock")
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[2], 443), 0.5, (sys.argv[1], 0)).close()"


@pytest.fixture(scope="module")
def behind(host: Host) -> Iterator[Callable[[str], bool]]:
    """Give the guest another network; tell whether an address there gets through to the panel."""
    for command in (
        "ip netns add behind",
        "ip link add near type veth peer name far netns behind",
        f"ip address add {HERE}/24 dev near",
        "ip link set near up",
        f"ip -n behind address add {ATTACKER}/24 dev far",
        f"ip -n behind address add {NEIGHBOUR}/24 dev far",
        "ip -n behind link set far up",
    ):
        host.check_output(command)

    def gets_through(address: str) -> bool:
        done = host.run("ip netns exec behind python3 -c %s %s %s", CONNECT, address, HERE)
        assert done.rc == 0 or "TimeoutError" in done.stderr or "timed out" in done.stderr, done.stderr
        return bool(done.rc == 0)

    yield gets_through
    host.check_output("ip link delete near; ip netns delete behind")


@pytest.fixture(autouse=True)
def nobody(host: Host) -> Iterator[None]:
    """Begin and end without bans."""
    lift_all(host)
    yield
    lift_all(host)


def lift_all(host: Host) -> None:
    for line in host.check_output("centralino ban list").splitlines()[1:]:
        host.check_output("centralino ban lift %s", line.split()[0])
    assert within(5, lambda: banned(host) == {})


def banned(host: Host) -> dict[str, int]:
    """Return who is in the firewall's sets, and for how many seconds still."""
    left = {}
    for name in ("bans4", "bans6"):
        told = json.loads(host.check_output(f"nft -j list set inet centralino {name}"))["nftables"]
        for element in (element["elem"] for item in told for element in item.get("set", {}).get("elem", [])):
            left[element["val"]] = element["expires"]
    return left


def report(host: Host, address: str, seconds: int = 3600) -> None:
    host.check_output("python3 -c %s %s %s", REPORT, address, str(seconds))


def test_an_attacker_is_out_within_two_seconds_and_lifted_within_two(
    host: Host, behind: Callable[[str], bool], record_property: Callable[[str, object], None]
) -> None:
    assert behind(ATTACKER)
    reported = time.monotonic()
    report(host, ATTACKER)
    assert within(2, lambda: ATTACKER in banned(host))
    until_banned = time.monotonic() - reported
    assert not behind(ATTACKER)
    assert behind(NEIGHBOUR)
    listed = host.check_output("centralino ban list")
    assert ATTACKER in listed
    assert "3 wrong SIP passwords" in listed
    assert "molecule-bans" in listed
    host.check_output("centralino ban lift %s", ATTACKER)
    lifted = time.monotonic()
    assert within(2, lambda: banned(host) == {})
    until_lifted = time.monotonic() - lifted
    assert behind(ATTACKER)
    record_property("seconds until banned", round(until_banned, 2))
    record_property("seconds until lifted", round(until_lifted, 2))


def test_a_ban_by_hand_is_in_force_within_two_seconds(host: Host, behind: Callable[[str], bool]) -> None:
    assert behind(ATTACKER)
    host.check_output("centralino ban add %s --hours 1 --reason %s", ATTACKER, "calls at night")
    assert within(2, lambda: ATTACKER in banned(host))
    assert not behind(ATTACKER)
    assert 3590 < banned(host)[ATTACKER] <= 3600


def test_what_must_stay_reachable_is_refused_and_let_in_again(host: Host) -> None:
    refused = host.run("centralino ban add 198.18.0.9")
    assert refused.rc == 1
    assert "198.18.0.9 is in 198.18.0.0/24, which is never banned: see cluster_never_banned" in refused.stderr
    report(host, "198.18.0.9")
    said = "journalctl --unit centralino-bans --output cat --no-pager --since=-20s"
    assert within(5, lambda: "not banned: address=198.18.0.9" in host.check_output(said))
    assert within(2, lambda: banned(host) == {})


def test_a_ban_outlives_the_panel_and_the_service_and_the_firewall(host: Host, behind: Callable[[str], bool]) -> None:
    report(host, ATTACKER)
    assert within(2, lambda: ATTACKER in banned(host))
    assert within(5, lambda: ATTACKER in host.check_output("centralino ban list"))
    host.check_output("systemctl stop nginx")
    try:
        report(host, NEIGHBOUR, 600)
        assert within(2, lambda: NEIGHBOUR in banned(host))
        # As after a lost power supply: the kernel has forgotten, and nothing was saved on the way down.
        host.check_output("systemctl kill --signal SIGKILL %s; nft delete table inet centralino", UNIT)
        host.check_output("rm -f /var/lib/centralino-firewall/bans.nft; systemctl restart centralino-firewall")
        host.check_output("systemctl restart %s", UNIT)
        assert within(10, lambda: banned(host).keys() == {ATTACKER, NEIGHBOUR})
        assert not behind(ATTACKER)
        assert banned(host)[ATTACKER] < 3600
    finally:
        host.check_output("systemctl start nginx")
    assert within(20, lambda: NEIGHBOUR in host.check_output("centralino ban list"))


def test_what_others_do_to_the_sets_is_repaired(host: Host) -> None:
    report(host, ATTACKER)
    assert within(2, lambda: ATTACKER in banned(host))
    host.check_output("nft flush set inet centralino bans4")
    report(host, NEIGHBOUR)
    assert within(2, lambda: banned(host).keys() == {ATTACKER, NEIGHBOUR})


def test_a_report_while_the_service_restarts_is_heard(host: Host) -> None:
    host.check_output("systemctl stop %s", UNIT)
    report(host, ATTACKER)
    assert within(10, lambda: ATTACKER in banned(host))
    assert host.service(UNIT).is_running, "its socket starts it"


def test_only_members_of_the_group_report(host: Host) -> None:
    done = host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups python3 -c %s %s 60", REPORT, ATTACKER)
    assert "PermissionError" in done.stderr
    group = "setpriv --reuid=nobody --regid=nogroup --groups=centralino-bans python3 -c %s %s 60"
    host.check_output(group, REPORT, ATTACKER)
    assert within(2, lambda: ATTACKER in banned(host))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"bans_panel_url": "http://panel"}, "set it in the inventory to where the panel answers agents"),
        ({"bans_application_release": "latest"}, "give it the value of application_release"),
        ({"bans_ca": "/nowhere.crt"}, "/nowhere.crt is not on molecule-bans: apply the role pki first"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = host.check_output("systemctl show --property MainPID,NeedDaemonReload %s", UNIT)
    assert sentence in refused(variables)
    assert host.check_output("systemctl show --property MainPID,NeedDaemonReload %s", UNIT) == before


def test_it_is_confined(host: Host, exposure: Callable[[str], float]) -> None:
    assert host.service(UNIT).is_enabled
    assert host.service("centralino-bans.socket").is_enabled
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%U /proc/%s", main) == "centralino-bans"
    assert host.file("/etc/centralino/bans.toml").mode == 0o640
    assert exposure(UNIT) <= 2.5


@pytest.mark.usefixtures("changed")
def test_with_every_variable_changed_the_panel_is_told(host: Host) -> None:
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    group = host.check_output("getent group elsewhere | cut -d: -f3")
    assert group in host.check_output("grep ^Groups: /proc/%s/status", main).split()
    report(host, ATTACKER)
    assert within(5, lambda: ATTACKER in host.check_output("centralino ban list"))
