"""The panel and the CTI proxy against a person who tries what is not theirs."""

import json
import ssl

import pytest
import requests
from playwright.sync_api import expect
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from lab.cluster import Cluster
from tests.conftest import LogIn


def test_a_page_shows_its_own_tenant_alone(log_in: LogIn) -> None:
    rossi, verdi = log_in("reception@rossi.example"), log_in("desk@verdi.example")
    expect(rossi.locator("body")).to_contain_text("Dr. Anna Rossi")
    expect(rossi.locator("body")).not_to_contain_text("Verdi")
    expect(verdi.locator("body")).not_to_contain_text("Rossi")
    assert rossi.locator("[data-extension]").count() == 6
    assert verdi.locator("[data-extension]").count() == 2


def test_the_page_breaks_no_rule_of_its_own(log_in: LogIn) -> None:
    """No error on the console: CSP, certificates, scripts and the WebSocket are as the page expects them."""
    page = log_in("admin@rossi.example")
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.reload()
    page.wait_for_selector("[data-live=connected]")
    assert errors == []


def test_the_agents_path_is_closed_to_browsers(cluster: Cluster) -> None:
    address, ca = cluster.address("web01"), cluster.access["ca"]
    assert requests.get(f"https://{address}/agent/v1/keys", verify=ca, timeout=5).status_code == 404
    forged = {"X-Client-Name": "pbx01"}
    assert requests.get(f"https://{address}/agent/v1/snapshot", verify=ca, headers=forged, timeout=5).status_code == 404
    assert requests.get(f"https://{address}:8443/agent/v1/keys", verify=ca, timeout=5).status_code == 400


@pytest.mark.parametrize("token", ["", "x", "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOjE3NX0."])
def test_the_proxy_lets_nobody_in_without_a_good_token(cluster: Cluster, token: str) -> None:
    context = ssl.create_default_context(cafile=cluster.access["ca"])
    address = f"wss://{cluster.address('cti01')}:8777/live?token={token}"

    try:
        with connect(address, ssl=context, origin=Origin(cluster.access["panel"].rstrip("/"))) as socket:
            answer = json.loads(socket.recv(timeout=10))
    except WebSocketException:
        return  # closed without a word is refused as well
    assert isinstance(answer, dict)
    assert answer["type"] == "error", answer
