"""The proxy once every variable is changed: elsewhere, with another certificate, and with room for few."""

import json
from typing import Any

import pytest
import requests
from live_page import CA, Panel, browser
from scenario_fixtures import within
from testinfra.host import Host
from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.usefixtures("changed")

UNIT = "centralino-cti"


@pytest.fixture
def port(changed: dict[str, Any]) -> int:
    return int(changed["cti_port"])


def first_message(connection: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(connection.recv(timeout=10)))


def test_it_listens_where_it_is_told_alone(host: Host, address: str, port: int) -> None:
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    listening = [line.split()[3] for line in host.check_output("ss -Hlntp").splitlines() if f"pid={main}," in line]
    assert sorted(listening) == [f"{address}:{port}", f"{address}:8878"]
    assert "\n# TYPE " in f"\n{requests.get(f'http://{address}:8878/metrics', timeout=5).text}"


def test_the_pbx_is_reached_and_known_by_the_other_authoritys_file(address: str, port: int) -> None:
    def state() -> str:
        return str(requests.get(f"https://{address}:{port}/health", verify=CA, timeout=5).json()["pbx"]["molecule-cti"])

    assert within(10, lambda: state() == "up")


@pytest.mark.usefixtures("hints")
def test_there_is_room_for_one_of_a_user_and_two_of_an_address(panel: Panel, address: str, port: int) -> None:
    def opened(extension: str) -> ClientConnection:
        return browser(address, f"/live?token={panel.token(175, extension=extension)}", port=port)

    with opened("101") as first:
        assert first_message(first)["type"] == "snapshot"
        with opened("101") as again:
            assert "of this user" in first_message(again)["message"]
    with opened("101") as first, opened("102") as second:
        assert first_message(first)["type"] == first_message(second)["type"] == "snapshot"
        with opened("103") as third:
            assert "from this address" in first_message(third)["message"]


def test_a_forged_token_is_reported_where_it_is_told(host: Host, panel: Panel, address: str, port: int) -> None:
    assert panel
    with browser(address, f"/live?token={Panel().token(175)}", port=port) as connection:
        assert first_message(connection)["type"] == "error"
    assert within(10, lambda: '"part":"cti"' in host.check_output("journalctl --since -1min --output cat"))


def test_its_limits_are_the_systems(host: Host) -> None:
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    limits = host.check_output("grep 'Max open files' /proc/%s/limits", main)
    assert limits.split()[3:5] == ["4096", "4096"]
    assert host.check_output("systemctl show --value --property MemoryMax %s", UNIT) == str(512 * 1024**2)
    assert "complain" not in host.check_output("grep ^profile /etc/apparmor.d/centralino-cti")
