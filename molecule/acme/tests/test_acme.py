"""A real ACME server signs, nginx serves, and what cannot serve does not."""

import time
from collections.abc import Callable

import pytest
from scenario_fixtures import Exposure, Refused, within
from testinfra.host import Host

UNIT = "centralino-acme.service"
INSTALL = "centralino-acme-install.service"
DUE = 30 * 86400
"""Debian's certbot renews what is valid for less: 30 days."""
SECONDS = DUE + 60
"""How long the server's certificates are valid: due a minute after they were made."""


@pytest.fixture(scope="module", autouse=True)
def server(host: Host, pebble: Callable[..., None]) -> None:
    assert "Centralino internal CA" in served(host)[0], "the internal authority's serves until the first success"
    pebble(certificateValidityPeriod=SECONDS)


def served(host: Host) -> tuple[str, str]:
    """Return issuer and serial number of what nginx shows a browser."""
    shown = host.check_output(
        "openssl s_client -connect 127.0.0.1:443 -servername panel.example.com </dev/null 2>/dev/null "
        "| openssl x509 -noout -issuer -serial -nameopt oneline"
    )
    issuer, serial = shown.splitlines()
    return issuer, serial


def ask(host: Host) -> None:
    """Have the client ask where it is due, and wait until what it got serves."""
    host.check_output(f"systemctl restart {UNIT}")
    time.sleep(0.2)  # the unit that installs it is started by a path unit
    ended = f"systemctl show --value --property=ActiveState {INSTALL}"
    assert within(10, lambda: host.check_output(ended) == "inactive")


def nginx(host: Host) -> str:
    return str(host.check_output("systemctl show --value --property MainPID nginx"))


def changes(host: Host, before: tuple[str, str]) -> bool:
    """Wait until nginx shows another certificate, and tell whether it does."""
    return within(10, lambda: served(host) != before)


def wait_until_due(host: Host) -> None:
    """Wait until the certificate that serves is due."""
    early = f"openssl x509 -in /etc/centralino/acme/current/certificate.pem -noout -checkend {DUE}"
    host.check_output(f"while {early} >/dev/null; do sleep 1; done; sleep 1")


def test_a_certificate_is_asked_for_served_and_renewed(host: Host) -> None:
    main, first = nginx(host), served(host)
    ask(host)
    assert changes(host, first)
    signed = served(host)
    assert "Pebble Intermediate CA" in signed[0]
    names = host.check_output(
        "openssl x509 -in /etc/centralino/acme/current/certificate.pem -noout -ext subjectAltName"
    )
    assert "DNS:panel.example.com, DNS:www.panel.example.com" in names
    assert host.check_output("grep -c BEGIN /etc/centralino/acme/current/certificate.pem") == "2", "with its chain"

    ask(host)
    assert served(host) == signed, "nothing is asked for while nothing is due"
    wait_until_due(host)
    ask(host)
    assert changes(host, signed)
    assert "Pebble Intermediate CA" in served(host)[0]
    assert nginx(host) == main, "nginx was not restarted"


def test_the_key_is_for_those_who_serve_alone(host: Host) -> None:
    key = host.check_output("stat --dereference --format '%U %G %a' /etc/centralino/acme/current/key.pem")
    assert key == "root ssl-cert 640"
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /etc/centralino/acme/current/key.pem").rc


def test_one_that_does_not_match_its_key_is_refused(host: Host) -> None:
    before = served(host)
    key = host.check_output("readlink -f /var/lib/centralino/acme/config/live/*/privkey.pem")
    host.check_output(f"cp -a {key} /run/right.pem; openssl ecparam -genkey -noout -name prime256v1 > {key}")
    try:
        assert host.run(f"systemctl restart {INSTALL}").rc != 0
        said = host.check_output(f"journalctl --output=cat --no-pager --unit={INSTALL} --lines=5")
        assert "the certificate does not match its key: see 'journalctl -u centralino-acme'" in said
        host.check_output("systemctl reload nginx")
        assert served(host) == before
    finally:
        host.check_output(f"cp -a /run/right.pem {key}; systemctl reset-failed {INSTALL}")


def test_one_that_is_not_for_the_names_is_refused(host: Host) -> None:
    before = served(host)
    live = host.check_output("echo /var/lib/centralino/acme/config/live/*/privkey.pem").removesuffix("/privkey.pem")
    host.check_output(f"cp -a {live} /run/live; rm {live}/*.pem")
    host.check_output(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {live}/privkey.pem "
        f"-out {live}/fullchain.pem -subj /CN=other.example.com 2>/dev/null"
    )
    try:
        assert host.run(f"systemctl restart {INSTALL}").rc != 0
        said = host.check_output(f"journalctl --output=cat --no-pager --unit={INSTALL} --lines=5")
        assert "the certificate is not for panel.example.com" in said
        assert served(host) == before
    finally:
        host.check_output(f"rm -r {live}; mv /run/live {live}; systemctl reset-failed {INSTALL}")


def test_what_is_not_the_challenge_is_redirected(controller: Host, address: str) -> None:
    other = controller.check_output(f"curl --silent --include http://{address}/a")
    assert " 308 " in other
    assert "404" in controller.check_output(f"curl --silent --include http://{address}/.well-known/acme-challenge/x")
    outside = controller.check_output(
        f"curl --silent --include --path-as-is http://{address}/.well-known/acme-challenge/../../../config/live/README"
    )
    assert "200 OK" not in outside


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"acme_names": []}, "what browsers call it"),
        ({"acme_names": ["*.example.com"]}, "names with * need the challenge dns"),
        ({"acme_names": ["192.0.2.1"]}, "what browsers call it"),
        ({"acme_server": "http://example.com/dir"}, "write the server's directory as https://…"),
        ({"acme_eab_key_id": "kid"}, "acme_eab_hmac_key along with acme_eab_key_id"),
        ({"acme_challenge": "dns"}, "a program that is on this machine where the challenge is dns"),
        ({"acme_challenge": "dns", "acme_dns_hook": "/nowhere/hook"}, "a program that is on this machine"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = (served(host), nginx(host), host.check_output("sha256sum /etc/centralino/acme.ini"))
    assert sentence in refused(variables)
    assert (served(host), nginx(host), host.check_output("sha256sum /etc/centralino/acme.ini")) == before


def test_while_the_server_is_down_the_certificate_stays(host: Host) -> None:
    before = served(host)
    host.check_output("systemctl stop pebble")
    wait_until_due(host)
    assert host.run(f"systemctl restart {UNIT}").rc != 0
    assert served(host) == before
    again = host.check_output(f"systemctl show --property=SubState,Restart {UNIT}")
    assert "SubState=auto-restart" in again, "it is tried again"


def test_it_is_renewed_in_time(host: Host) -> None:
    timer = host.service("centralino-acme.timer")
    assert timer.is_running
    assert timer.is_enabled
    assert host.service("certbot.timer").is_masked


def test_it_is_confined(exposure: Exposure) -> None:
    assert exposure(UNIT) <= 2.5
    assert exposure(INSTALL) <= 2.5
