"""The panel once every variable is changed: its ports, its certificates, and a database behind TLS."""

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from scenario_fixtures import within
from testinfra.host import Host

pytestmark = pytest.mark.usefixtures("changed")


@pytest.fixture(scope="module")
def shown(showing: Callable[[str, str], ssl.SSLContext]) -> ssl.SSLContext:
    """Return a context that shows the guest's certificate."""
    return showing("/etc/elsewhere/certificate.pem", "/etc/elsewhere/key.pem")


def status(url: str, tls: ssl.SSLContext) -> int:
    with httpx.Client(verify=tls, timeout=30) as client:
        return client.get(url).status_code


def test_each_port_answers_who_it_is_for(
    address: str, anonymous: ssl.SSLContext, shown: ssl.SSLContext, changed: dict[str, Any]
) -> None:
    def at(port: str, path: str) -> str:
        return f"https://{address}:{changed[port]}{path}"

    assert status(at("panel_port", "/login"), anonymous) == 200
    for port, path, known in (
        ("panel_agent_port", "/agent/v1/keys", 403),  # the one certificate here is a PBX's
        ("panel_phones_port", "/phones/001565aabbcc.cfg", 404),
        ("panel_api_port", "/rpc", 405),
    ):
        assert status(at(port, path), anonymous) == 400, f"{port} without a certificate"
        assert status(at(port, path), shown) == known, port


def test_plain_http_leads_there_but_for_an_acme_servers_questions(
    host: Host, address: str, changed: dict[str, Any]
) -> None:
    folder = f"{changed['panel_acme_webroot']}/.well-known/acme-challenge"
    host.check_output(f"mkdir -p {folder} && echo an-answer > {folder}/token")
    with httpx.Client() as browser:
        assert browser.get(f"http://{address}/.well-known/acme-challenge/token").text == "an-answer\n"
        assert browser.get(f"http://{address}/login").headers["Location"] == f"https://{address}:9443/login"


def test_the_database_is_reached_over_tls_by_the_other_role(
    host: Host, address: str, shown: ssl.SSLContext, changed: dict[str, Any]
) -> None:
    """Who waits for bans holds a connection to the database, so that it can be looked at."""
    assert "175" not in host.check_output("centralino tenant list"), "the database is new"
    host.check_output("centralino check")
    bans = f"https://{address}:{changed['panel_agent_port']}/agent/v1/bans"
    ask = (
        "SELECT DISTINCT ssl, client_serial IS NOT NULL FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE usename = 'elsewhere'"
    )
    with httpx.Client(verify=shown, timeout=60) as guest, ThreadPoolExecutor(1) as pool:
        known = {"If-None-Match": guest.get(bans).headers["ETag"]}
        waiting = pool.submit(guest.get, f"{bans}?wait=10", headers=known)
        seen = within(9, lambda: host.check_output("runuser -u postgres -- psql -X -A -t -p 5433 -c %s", ask))
        assert seen == "t|t"
        assert waiting.result().status_code == 304


def test_others_are_never_banned(host: Host) -> None:
    refused = host.run("centralino ban add 203.0.113.5")
    assert "203.0.113.5 is in 203.0.113.0/24, which is never banned" in refused.stderr
    host.check_output("centralino ban add 198.51.100.5")
    host.check_output("centralino ban lift 198.51.100.5")


def test_a_worker_serves(host: Host) -> None:
    main = host.check_output("systemctl show --value --property MainPID centralino-panel")
    assert host.check_output("pgrep --count --parent %s", main) == "1"
