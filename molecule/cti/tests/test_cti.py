"""Role cti: a real Asterisk's hints, seen by browsers over WSS."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from live_page import CA, Panel, asterisk, browser
from scenario_fixtures import Exposure
from testinfra.host import Host
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

AMI_PASSWORD = "Qm4Zt7Lb2Xw9Kc6Rv3Hn"  # noqa: S105 - the scenario's own, as in vars.yml


def states(document: dict[str, Any]) -> dict[str, str]:
    """Return the states in a message; a heartbeat has none."""
    return {number: extension["state"] for number, extension in document.get("extensions", {}).items()}


def wait_for(
    connection: ClientConnection, wanted: dict[str, str], seconds: float = 10, known: dict[str, str] | None = None
) -> None:
    """Follow the messages until the extensions, of which some may be known, are in the wanted states."""
    known = known or {}
    end = time.monotonic() + seconds
    while known != wanted:
        message = json.loads(connection.recv(timeout=max(0.0, end - time.monotonic())))
        known = states(message) if message["type"] == "snapshot" else known | states(message)


def hears_nothing(connection: ClientConnection, seconds: float) -> None:
    """Check that no extension changes for a while."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            assert not states(json.loads(connection.recv(timeout=left)))
        except TimeoutError:
            return


def test_the_service_runs_and_is_sandboxed(host: Host, exposure: Exposure) -> None:
    service = host.service("centralino-cti")
    assert service.is_running
    assert service.is_enabled
    assert host.socket("tcp://0.0.0.0:8777").is_listening
    assert host.socket("tcp://127.0.0.1:8778").is_listening
    assert exposure("centralino-cti.service") <= 2.5


def test_others_cannot_read_the_secrets(host: Host) -> None:
    assert host.file("/etc/centralino/cti.toml").mode == 0o640
    assert host.run("runuser -u nobody -- cat /etc/centralino/cti.toml").failed


def test_health_tells_which_pbx_is_up(panel: Panel, address: str) -> None:
    assert panel
    for _ in range(50):
        answer = requests.get(f"https://{address}:8777/health", verify=CA, timeout=5)
        if answer.json()["pbx"]["molecule-cti"] == "up":
            break
        time.sleep(0.2)
    assert answer.status_code == 503, "PBXes are missing"
    assert answer.json()["pbx"] == {"molecule-cti": "up", "nowhere": "down", "second": "down"}
    assert answer.json()["keys"] == 1


@pytest.mark.usefixtures("hints")
def test_a_browser_sees_the_states_of_its_tenant_only(host: Host, panel: Panel, address: str) -> None:
    with (
        browser(address, f"/live?token={panel.token(175)}") as here,
        browser(address, f"/live?token={panel.token(176)}") as there,
    ):
        wait_for(here, {"101": "free", "102": "unregistered"})
        wait_for(there, {"101": "free"})
        for state, wanted in (("RINGING", "ringing"), ("INUSE", "busy"), ("ONHOLD", "held"), ("NOT_INUSE", "free")):
            asterisk(host, f"devstate change Custom:first {state}")
            change: dict[str, Any] = {}
            while not states(change):
                change = json.loads(here.recv(timeout=5))
            assert states(change) == {"101": wanted}
        hears_nothing(there, 0.3)


@pytest.mark.usefixtures("hints")
def test_hints_that_a_reload_brings_and_takes(host: Host, panel: Panel, address: str) -> None:
    file = "/var/lib/centralino/agent/current/extensions.conf"
    with browser(address, f"/live?token={panel.token(175)}") as connection:
        wait_for(connection, {"101": "free", "102": "unregistered"})
        with host.sudo():
            host.check_output("sed -i s/102,hint/103,hint/ %s", file)
        asterisk(host, "dialplan reload")
        wait_for(connection, {"101": "free", "103": "unregistered"})


@pytest.mark.usefixtures("hints")
def test_grey_while_asterisk_is_down_and_the_truth_soon_after(host: Host, panel: Panel, address: str) -> None:
    with browser(address, f"/live?token={panel.token(175)}") as connection:
        truth, grey = {"101": "free", "102": "unregistered"}, dict.fromkeys(("101", "102"), "unregistered")
        wait_for(connection, truth)
        host.check_output("systemctl stop asterisk")
        wait_for(connection, grey, known=truth)
        host.check_output("systemctl start asterisk")
        start = time.monotonic()
        wait_for(connection, truth, 20, known=grey)
        assert time.monotonic() - start < 15


def test_who_does_not_get_in(panel: Panel, address: str) -> None:
    for token in (Panel().token(175), panel.token(175, lifetime=-60), "nonsense"):
        with browser(address, f"/live?token={token}") as connection:
            assert json.loads(connection.recv(timeout=10))["type"] == "error"
    with pytest.raises(InvalidStatus):
        browser(address, f"/live?token={panel.token(175)}", origin="https://evil.example.org")


def test_a_wrong_configuration_is_refused_and_the_running_one_kept(host: Host, panel: Panel, address: str) -> None:
    with host.sudo():
        host.check_output(
            "cp -p /etc/centralino/cti.toml /root/cti.toml && echo 'colour = 1' >> /etc/centralino/cti.toml"
        )
        try:
            host.check_output("systemctl reload centralino-cti")
            assert "unknown key" in host.check_output("journalctl -u centralino-cti -n 5 --no-pager -o cat")
        finally:
            host.check_output("cp -p /root/cti.toml /etc/centralino/cti.toml")
        host.check_output("systemctl reload centralino-cti")
    with browser(address, f"/live?token={panel.token(175)}") as connection:
        assert json.loads(connection.recv(timeout=10))["type"] == "snapshot"
    journal = host.check_output("journalctl -u centralino-cti --no-pager -o cat")
    assert AMI_PASSWORD not in journal
    assert "eyJ" not in journal, "a token begins so"


def test_the_apparmor_profile_is_sound_and_names_what_the_service_has_open(
    host: Host, beyond_profile: Callable[[str], list[str]]
) -> None:
    host.check_output("apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/centralino-cti")
    assert beyond_profile("centralino-cti") == []
