"""The panel behind nginx, asked over the network as browsers and agents ask it."""

# ruff: noqa: S105 - a test's password

import json
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from scenario_fixtures import Exposure
from testinfra.host import Host

TENANT = """
id: 175
name: Studio Medico Rossi
pbx: molecule-panel
administrators: [admin@rossi.example]
extensions:
  - {number: "101", name: Reception, login: anna@rossi.example, devices: [{name: desk}]}
"""
PASSWORD = "correct horse battery 7"


def command(host: Host, text: str, given: str = "") -> str:
    return host.check_output(f"centralino {text} <<'END'\n{given}\nEND")


@pytest.fixture(scope="module", autouse=True)
def tenant(host: Host) -> None:
    command(host, "tenant import -", TENANT)
    for login in ("anna@rossi.example", "admin@rossi.example"):
        command(host, f"user password {login}", PASSWORD)
    # Who was locked out by the tests before is let in again.
    host.check_output("runuser -u postgres -- psql --quiet centralino -c 'DELETE FROM axes_accessattempt'")


@pytest.fixture
def browser(address: str, anonymous: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"https://{address}", verify=anonymous, timeout=30) as client:
        yield client


@pytest.fixture
def agent(address: str, showing: Callable[[str, str], ssl.SSLContext]) -> Iterator[httpx.Client]:
    """Return a client that shows the guest's own certificate."""
    own = showing("/etc/centralino/pki/molecule-panel.crt", "/etc/centralino/pki/molecule-panel.key")
    with httpx.Client(base_url=f"https://{address}:8443", verify=own, timeout=30) as client:
        yield client


def log_in(browser: httpx.Client, login: str, password: str) -> httpx.Response:
    form = browser.get("/login")
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
    assert found
    data = {"csrfmiddlewaretoken": found[1], "username": login, "password": password}
    return browser.post("/login", data=data, headers={"Referer": f"{browser.base_url}/login"})


def test_a_person_logs_in_and_sees_the_live_page(browser: httpx.Client) -> None:
    assert browser.get("/").headers["Location"] == "/login?next=/"
    answer = log_in(browser, "anna@rossi.example", PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    page = browser.get("/")
    assert 'data-extension="101"' in page.text
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        static = browser.get(address)
        assert static.status_code == 200, address
        assert "max-age=315360000" in static.headers["Cache-Control"]
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found
    headers = {"X-CSRFToken": found[1], "Referer": f"{browser.base_url}/"}
    token = browser.post("/live/token", headers=headers).json()
    assert token["url"] == "wss://cti.example.org:8777/live"
    assert token["token"].count(".") == 2


def test_browsers_are_told_to_be_strict(browser: httpx.Client) -> None:
    headers = browser.get("/login").headers
    assert headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
    assert "connect-src 'self' wss://cti.example.org:8777" in headers["Content-Security-Policy"]


def test_the_fifth_wrong_password_locks_that_address_out(browser: httpx.Client) -> None:
    wrong = log_in(browser, "admin@rossi.example", "wrong")
    assert wrong.status_code == 200
    assert "do not match" in wrong.text
    for _ in range(3):
        log_in(browser, "admin@rossi.example", "wrong")
    assert log_in(browser, "admin@rossi.example", "wrong").status_code == 429
    assert log_in(browser, "admin@rossi.example", PASSWORD).status_code == 429
    # Saying to come from elsewhere does not help.
    browser.headers.update({"X-Real-IP": "192.0.2.1", "X-Forwarded-For": "192.0.2.1"})
    assert log_in(browser, "admin@rossi.example", PASSWORD).status_code == 429
    assert log_in(browser, "anna@rossi.example", PASSWORD).status_code == 302


def test_an_agent_is_known_by_its_certificate(host: Host, agent: httpx.Client) -> None:
    assert agent.get("/agent/v1/keys").status_code == 403
    assert agent.get("/agent/v1/keys", headers={"X-Client-Name": "cti01"}).status_code == 403
    assert agent.get("/login").status_code == 404
    command(host, "apply --pbx molecule-panel")
    answer = agent.get("/agent/v1/snapshot")
    snapshot = answer.json()
    assert snapshot["tenants"][0]["extensions"][0]["number"] == "101"
    credentials = json.loads(command(host, "device credentials 175"))
    assert credentials["101"][0]["secret"] == snapshot["tenants"][0]["extensions"][0]["devices"][0]["secret"]


def test_without_a_certificate_there_is_no_agent_api(
    address: str, anonymous: ssl.SSLContext, browser: httpx.Client
) -> None:
    with httpx.Client(verify=anonymous) as stranger:
        assert stranger.get(f"https://{address}:8443/agent/v1/snapshot").status_code == 400
    forged = {"X-Client-Name": "molecule-panel"}
    for path in (
        "/agent/v1/snapshot",
        "/agent/",
        "//agent/v1/snapshot",
        "/%61gent/v1/snapshot",
        "/static/../agent/v1/snapshot",
    ):
        assert browser.get(path, headers=forged).status_code == 404, path


def test_a_phone_fetches_its_secrets_once(host: Host, address: str, authority: Path, anonymous: ssl.SSLContext) -> None:
    """As a phone does that was taken out of its box, then as one that knows its folder, then as a stranger."""
    host.run("centralino phone remove 001565aabbcc")
    command(host, "phone add 175 00:15:65:AA:BB:CC yealink-t54w 101/desk")
    with httpx.Client(base_url=f"https://{address}/phones/", verify=anonymous) as phone:
        found = dict(line.split(" = ", 1) for line in phone.get("001565aabbcc.cfg").text.splitlines()[1:])
        credentials = json.loads(command(host, "device credentials 175"))["101"][0]
        assert found["account.1.password"] == credentials["secret"]
        assert (found["account.1.sip_server.1.address"], found["account.1.sip_server.1.port"]) == (
            "pbx01.example.org",
            "5071",
        )
        assert (found["lang.gui"], found["local_time.time_zone"]) == ("Italian", "+1")
        assert (found["local_time.ntp_server2"], found["account.1.codec.pcma.priority"]) == ("192.0.2.2", "1")
        assert found["action_url.call_established"] == "https://crm.example.org/call?to=$remote"
        assert phone.get("001565aabbcc.cfg").status_code == 404
        folder = found["static.auto_provision.server.url"].removeprefix("https://panel.example.org/phones/")
        again = phone.get(f"{folder}001565aabbcc.cfg").text
        assert "102" in again
        assert credentials["secret"] not in again
        assert "Reception" in phone.get(f"{folder}phonebook.xml").text
        assert phone.get(f"{folder}ca.crt").text == authority.read_text()
        assert phone.get("001565aabbdd.cfg").status_code == 404
    own = f"phone refused: address={address.rpartition('.')[0]}."
    journal = host.check_output("journalctl --unit centralino-panel --output cat --since -1min")
    assert f"{own}1 mac=001565aabbdd" in journal
    assert "mac=001565aabbcc" in journal
    assert f"{own}1 mac=001565aabbcc" not in journal, "a phone that is known does not count toward a ban"


def test_who_asks_for_phones_without_end_is_slowed_down(address: str, anonymous: ssl.SSLContext) -> None:
    with httpx.Client(base_url=f"https://{address}/phones/", verify=anonymous) as guesser:
        answers = []
        while 429 not in answers and len(answers) < 2000:
            answers.append(guesser.get(f"0015650{len(answers):05x}.cfg").status_code)
    assert answers[:200] == [404] * 200
    assert answers[-1] == 429, "a slow machine may need more than the 300 that are let through at once"


def test_who_tries_many_names_is_slowed_down(browser: httpx.Client, agent: httpx.Client) -> None:
    """The lock-out counts one name's failures: one word tried with every name in turn never meets it."""
    tries = [browser.post("/login", data={"username": f"person{n}@rossi.example"}).status_code for n in range(100)]
    assert tries[:40] == [403] * 40, "an office that begins its day behind one address"
    assert tries[-1] == 429
    assert browser.get("/login").status_code == 200, "who only looks is shown the form"
    assert browser.get("/health").status_code == 200
    assert agent.get("/agent/v1/keys").status_code == 403, "guests have a limit of their own"


def test_a_long_form_is_no_log_in(browser: httpx.Client) -> None:
    assert browser.post("/login", content=b"x" * 20_000).status_code == 413


def test_a_guest_that_asks_without_end_is_slowed_down(agent: httpx.Client) -> None:
    answers = [agent.get("/agent/v1/keys").status_code for _ in range(600)]
    assert answers[:300] == [403] * 300, "what a guest kept while the panel was away comes at once"
    assert answers[-1] == 429


def test_nobody_else_on_the_guest_opens_the_panels_socket_or_reads_its_secrets(host: Host) -> None:
    assert host.run("runuser -u nobody -- cat /etc/centralino/panel.toml").rc != 0
    connect = "import socket; socket.socket(socket.AF_UNIX).connect('/run/centralino-panel/panel.sock')"
    assert host.run(f'runuser -u www-data -- python3 -c "{connect}"').rc == 0
    assert "PermissionError" in host.run(f'runuser -u nobody -- python3 -c "{connect}"').stderr
    assert "must be run as root" in host.run("runuser -u nobody -- centralino tenant list").stderr


def test_the_service_is_confined(host: Host, exposure: Exposure) -> None:
    assert exposure("centralino-panel.service") <= 2.5
    # It has no network but its own loopback.
    pid = host.check_output("systemctl show -p MainPID --value centralino-panel")
    assert host.check_output(f"nsenter -t {pid} -n ip -brief link").split()[0] == "lo"


def test_a_reload_and_a_restart_refuse_nobody(host: Host, browser: httpx.Client) -> None:
    for verb in ("reload", "restart"):
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(host.check_output, f"systemctl {verb} centralino-panel && sleep 2")
            seen = set()
            while not done.done():
                seen.add(browser.get("/health").status_code)
            done.result()
        assert seen == {200}, verb


def test_the_database_coming_back_is_noticed(host: Host, browser: httpx.Client) -> None:
    host.check_output("systemctl stop 'postgresql@*'")
    assert browser.get("/health").status_code == 503
    done = host.run("centralino tenant list")
    assert done.rc == 1
    assert len(done.stderr.splitlines()) == 1
    host.check_output("systemctl start postgresql@17-main")
    assert browser.get("/health").status_code == 200
