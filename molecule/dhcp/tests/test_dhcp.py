"""Boot as phones of every vendor do, in a network of their own."""

import sys
from pathlib import Path

import pytest
from scenario_fixtures import Exposure, Refused
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[1]))
from lease import ask

UNIT = "centralino-dhcp.service"
URL = "https://phones.example.com/phones/"
SCOPE = {"subnet": "192.0.2.0/24", "first": "192.0.2.100", "last": "192.0.2.149"}
RECEPTION = {"name": "reception", "mac": "00:15:65:aa:bb:01", "address": "192.0.2.10"}


@pytest.mark.parametrize(
    ("vendor_class", "told"),
    [
        ("yealink", {"server": URL, "vendor": URL}),
        ("snomD785", {"server": URL, "file": "{mac}.xml"}),
        ("Grandstream GXP2170", {"server": URL}),
        ("Polycom-VVX410", {"server": URL}),
        ("Fanvil X4U", {"server": URL, "vendor": URL}),
        ("Cisco Systems, Inc. IP Phone CP-7960G", {"server": "192.0.2.1", "servers": "192.0.2.1 192.0.2.3"}),
        ("LINKSYS SPA942", {"server": "192.0.2.1", "servers": "192.0.2.1 192.0.2.3"}),
        ("MSFT 5.0", {}),
    ],
)
def test_each_vendor_is_told_its_own(host: Host, vendor_class: str, told: dict[str, str]) -> None:
    answer = ask(host, vendor_class)
    assert answer.pop("address").startswith("192.0.2.1")
    assert 86300 <= int(answer.pop("lease")) <= 86400
    assert answer == {"netmask": "255.255.255.0", "gateway": "192.0.2.1", "time": "192.0.2.1 192.0.2.2", **told}


def test_a_reservation_is_kept_for_its_phone(host: Host) -> None:
    assert ask(host, "yealink", mac="00:15:65:aa:bb:01")["address"] == "192.0.2.10"
    assert ask(host, "yealink", mac="00:15:65:aa:bb:77")["address"] != "192.0.2.10"


def test_a_lease_outlives_a_restart(host: Host) -> None:
    before = ask(host, "snom", mac="00:04:13:00:00:01")["address"]
    host.check_output("systemctl restart %s", UNIT)
    assert ask(host, "snom", mac="00:04:13:00:00:01")["address"] == before
    assert before in host.check_output("cat /var/lib/dhcp/dhcpd.leases")


def test_other_interfaces_are_not_answered(host: Host) -> None:
    assert ask(host, "yealink", network="other") == {}


def test_phones_behind_a_router_get_addresses_of_their_network(host: Host) -> None:
    answer = ask(host, "yealink", network="far")
    assert answer["address"].startswith("10.44.0.1")
    assert (answer["gateway"], answer["server"]) == ("10.44.0.1", URL)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"dhcp_scopes": [{"subnet": "192.0.2.0/24", "first": "192.0.2.10", "last": "198.51.100.9"}]},
            "on molecule-dhcp does not contain its range 192.0.2.10 to 198.51.100.9",
        ),
        (
            {"dhcp_scopes": [{"subnet": "192.0.2.0/24", "first": "192.0.2.99", "last": "192.0.2.10"}]},
            "from its lower to its higher address",
        ),
        (
            {"dhcp_scopes": [SCOPE, {"subnet": "192.0.2.0/25", "first": "192.0.2.5", "last": "192.0.2.6"}]},
            "two of dhcp_scopes contain the same addresses",
        ),
        (
            {"dhcp_reservations": [RECEPTION, {"name": "hall", "mac": "00:15:65:AA:BB:01", "address": "192.0.2.11"}]},
            "cannot have reception (00:15:65:aa:bb:01, 192.0.2.10), hall (00:15:65:AA:BB:01, 192.0.2.11)",
        ),
        ({"dhcp_reservations": [{**RECEPTION, "address": "198.51.100.1"}]}, "the address lies in one of dhcp_scopes"),
        (
            {"dhcp_interfaces": ["other0"], "dhcp_relays": []},
            "other0 of dhcp_interfaces on molecule-dhcp has no address in one of",
        ),
        ({"dhcp_relays": ["router.example.com"]}, 'cannot have ["router.example.com"]'),
        ({"dhcp_ntp_servers": ["ntp.example.com"]}, 'cannot have ["ntp.example.com"]'),
        ({"dhcp_provisioning_url": 'https://x"; }'}, "printable ASCII without quotes"),
    ],
    ids=["range", "order", "overlap", "twice", "outside", "interface", "relay", "name", "text"],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    state = "systemctl show --property MainPID,NeedDaemonReload %s; sha256sum /etc/dhcp/dhcpd.conf"
    before = host.check_output(state, UNIT)
    assert sentence in refused(variables)
    assert host.check_output(state, UNIT) == before


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("centralino-dhcp").is_enabled
    assert host.service("isc-dhcp-server").is_masked
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%U /proc/%s", main) == "dhcpd"
    assert exposure(UNIT) <= 2.5
