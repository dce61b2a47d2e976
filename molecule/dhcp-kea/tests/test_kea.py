"""Kea from the same variables: every one of them changed, phones in two networks."""

import sys
from pathlib import Path

import pytest
from scenario_fixtures import Converge, Exposure
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[2] / "dhcp"))
from lease import ask

UNIT = "centralino-dhcp.service"
URL = "https://other.example.com/"


@pytest.mark.parametrize(
    ("vendor_class", "told"),
    [
        ("yealink", {"server": URL, "vendor": f"{URL}yealink"}),
        ("SIP-T54W", {"server": URL, "vendor": f"{URL}yealink"}),
        ("Cisco SPA504G", {"server": "192.0.2.9", "file": "spa.cfg", "servers": "192.0.2.9"}),
        ("snomD785", {}),
    ],
)
def test_each_vendor_is_told_its_own(host: Host, vendor_class: str, told: dict[str, str]) -> None:
    answer = ask(host, vendor_class)
    assert 50 <= int(answer.pop("address").removeprefix("192.0.2.")) <= 59
    assert 500 <= int(answer.pop("lease")) <= 600
    network = {"netmask": "255.255.255.0", "gateway": "192.0.2.1", "dns": "192.0.2.4 192.0.2.5"}
    assert answer == {**network, "domain": "phones.example.com", "time": "192.0.2.7", **told}


def test_the_other_network_has_its_own_addresses(host: Host) -> None:
    answer = ask(host, "yealink", network="other")
    assert 50 <= int(answer["address"].removeprefix("203.0.113.")) <= 59
    assert "gateway" not in answer
    assert "domain" not in answer


def test_phones_behind_a_router_get_addresses_of_their_network(host: Host) -> None:
    answer = ask(host, "yealink", network="far")
    assert 50 <= int(answer["address"].removeprefix("10.44.0.")) <= 59
    assert answer["gateway"] == "10.44.0.1"


def test_reservations_are_kept_for_their_phones(host: Host) -> None:
    assert ask(host, "yealink", mac="00:15:65:aa:bb:01")["address"] == "192.0.2.10"
    assert ask(host, "yealink", network="other", mac="00:15:65:aa:bb:02")["address"] == "203.0.113.10"


def test_a_lease_outlives_a_restart(host: Host) -> None:
    before = ask(host, "snom", mac="00:04:13:00:00:01")["address"]
    host.check_output("systemctl restart %s", UNIT)
    assert ask(host, "snom", mac="00:04:13:00:00:01")["address"] == before
    assert before in host.check_output("cat /var/lib/kea/kea-leases4.csv")


def test_what_kea_itself_refuses_is_not_put_in_place(host: Host, converge: Converge) -> None:
    state = "systemctl show --property MainPID %s; sha256sum /etc/kea/kea-dhcp4.conf"
    before = host.check_output(state, UNIT)
    # Kea has a class of that name itself.
    said = converge(fails=True, dhcp_vendors=[{"name": "ALL", "begins": ["x"]}])
    assert "failed to validate" in said
    assert host.check_output(state, UNIT) == before


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("centralino-dhcp").is_enabled
    assert host.service("kea-dhcp4-server").is_masked
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%U /proc/%s", main) == "_kea"
    assert exposure(UNIT) <= 2.5
