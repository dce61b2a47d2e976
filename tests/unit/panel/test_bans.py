"""Bans in the panel: who may be banned, by whom and what; who sees them; what wrong passwords lead to."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from centralino.contract.bans import DAY, Report
from centralino.panel.addresses import counted_as
from centralino.panel.models import Ban, Tenant, WrongPassword
from centralino.panel.services import bans
from centralino.panel.services.bans import NeverBannedError
from centralino.panel.services.errors import ServiceError
from tests.unit.panel.samples import PASSWORD
from tests.unit.panel.test_command import last_line, run

pytestmark = pytest.mark.usefixtures("two_tenants")

WRONG = "wrong"
NEVER = ("127.0.0.1", "127.9.9.9", "::1", "192.0.2.3", "::ffff:192.0.2.3", "2001:db8:ffff::1")
ATTACKER = "203.0.113.7"
HERE = "198.51.100.7"
"""Where the browser of these tests is."""


def report(address: str = ATTACKER, seconds: int = DAY) -> Report:
    return Report.model_validate({"address": address, "part": "sip", "reason": "3 wrong passwords", "seconds": seconds})


def attempt(client: Client, password: str = WRONG, login: str = "anna@175.example", address: str = ATTACKER) -> int:
    answer = client.post("/login", {"username": login, "password": password}, headers={"X-Real-IP": address})
    return answer.status_code


def banned() -> list[str]:
    return [ban.address for ban in bans.in_force()]


def test_a_ban_is_prolonged_and_never_cut_short() -> None:
    first = bans.ban(report(seconds=1000), guest="pbx01")
    assert bans.ban(report(seconds=10), guest="pbx02").until == first.until
    longer = bans.ban(report(seconds=2000), guest="pbx02")
    assert longer.until > first.until
    assert (longer.since, longer.guest) == (first.since, "pbx01")
    assert banned() == [ATTACKER]


def test_a_ban_that_has_run_out_is_not_on_the_list_and_makes_room() -> None:
    bans.ban(report(), guest="pbx01")
    past = timezone.now() - timedelta(days=2)
    Ban.objects.update(since=past, until=past + timedelta(days=1))
    assert banned() == []
    assert bans.current().bans == ()
    assert bans.ban(report(), guest="pbx02").guest == "pbx02"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "192.0.2.3", "::ffff:192.0.2.3", "2001:db8:ffff::1"]
)
def test_what_must_stay_reachable_is_never_banned(address: str) -> None:
    with pytest.raises(NeverBannedError, match="which is never banned: see cluster_never_banned"):
        bans.ban(report(address), guest="pbx01")
    with pytest.raises(NeverBannedError):
        bans.add(address, seconds=60, reason="why", by="anna")
    assert banned() == []


def test_nobody_bans_the_own_address() -> None:
    with pytest.raises(ServiceError, match="is your own address: you would lock yourself out"):
        bans.add(ATTACKER, seconds=60, reason="why", by="anna", own=[ATTACKER])
    done = run("ban", "add", ATTACKER, SSH_CONNECTION=f"{ATTACKER} 50000 192.0.2.1 22")
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: {ATTACKER} is your own address: you would lock yourself out"
    assert banned() == []


def test_the_command_adds_lists_and_lifts() -> None:
    added = ("ban", "add", ATTACKER, "--hours", "2", "--reason", "calls at night")
    assert last_line(run(*added, CENTRALINO_PERSON="anna")) == "changed=true"
    (ban,) = bans.in_force()
    assert abs(ban.until - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)
    listed = run("ban", "list").stdout
    for word in (ATTACKER, "operator", "calls at night (anna)", f"{ban.until:%Y-%m-%d %H:%M}"):
        assert word in listed
    assert last_line(run("ban", "lift", f"::ffff:{ATTACKER}")) == "changed=true"
    assert last_line(run("ban", "lift", ATTACKER)) == "changed=false"
    assert banned() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ban", "add", "nobody"), "nobody: value is not a valid IPv4 or IPv6 address: give one address"),
        (("ban", "add", "203.0.113.0/24"), "give one address, such as 203.0.113.7"),
        (("ban", "lift", "nobody"), "nobody: this is no address: see `centralino ban list`"),
        (("ban", "add", "192.0.2.3"), "192.0.2.3 is in 192.0.2.0/28, which is never banned"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...], sentence: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_operators_see_the_list_and_lift_and_nobody_else_does(client: Client) -> None:
    bans.ban(report(), guest="pbx01")
    for login in ("anna@175.example", "admin@175.example"):
        assert attempt(client, PASSWORD, login, HERE) == 302
        assert client.get("/bans").status_code == 403
        assert client.post("/bans/lift", {"address": ATTACKER}).status_code == 403
        assert "/bans" not in client.get("/").content.decode()
        client.post("/logout")
    assert client.get("/bans")["Location"] == "/login?next=/bans"
    assert attempt(client, PASSWORD, "operator", HERE) == 302
    page = client.get("/bans").content.decode()
    for word in (ATTACKER, "3 wrong passwords", "sip on pbx01"):
        assert word in page
    assert client.get("/bans/lift").status_code == 405
    assert client.post("/bans/lift", {"address": "nobody"}).status_code == 404
    assert client.post("/bans/lift", {"address": ATTACKER})["Location"] == "/bans"
    assert banned() == []
    assert "Nobody is banned" in client.get("/bans").content.decode()


def test_the_fifth_wrong_password_bans_whoever_is_tried(client: Client) -> None:
    logins = ["anna@175.example", "admin@175.example", "nobody", "anna@176.example", "operator"]
    for login in logins[:4]:
        attempt(client, login=login)
    assert banned() == []
    attempt(client, login=logins[4])
    (ban,) = bans.in_force()
    assert (ban.address, ban.part) == (ATTACKER, "panel")
    assert abs(ban.until - ban.since - timedelta(days=1)) < timedelta(seconds=1)


def test_a_right_password_in_between_begins_the_count_anew(client: Client) -> None:
    for _ in range(4):
        attempt(client)
    assert attempt(client, PASSWORD) == 302
    client.post("/logout")
    for _ in range(4):
        attempt(client)
    assert banned() == []


def test_who_has_one_log_in_does_not_try_all_others_for_ever(client: Client) -> None:
    for login in ("admin@175.example", "operator", "nobody", "anna@176.example"):
        attempt(client, login=login)
    assert attempt(client, PASSWORD, "anna@175.example") == 302
    client.post("/logout")
    assert banned() == []
    attempt(client, login="admin@176.example")
    assert banned() == [ATTACKER]


def test_a_right_password_takes_back_its_own_log_ins_wrong_ones_however_it_is_spelt(client: Client) -> None:
    for login in ("Anna@175.example", " anna@175.EXAMPLE", "nobody"):
        attempt(client, login=login)
    assert attempt(client, PASSWORD, "ANNA@175.example") == 302
    client.post("/logout")
    assert [wrong.login for wrong in WrongPassword.objects.all()] == ["nobody"]


def test_of_many_wrong_passwords_at_once_one_is_the_fifth(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=bans.__name__)
    together = threading.Barrier(8)

    def guess(number: int) -> None:
        together.wait(10)
        try:
            bans.wrong_password(ATTACKER, f"person{number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(8)))
    assert banned() == [ATTACKER]
    assert WrongPassword.objects.count() == 5
    assert caplog.text.count("banned: address=") == 1


def test_four_wrong_passwords_a_day_are_no_ban(client: Client) -> None:
    for _ in range(4):
        attempt(client, login="nobody")
    WrongPassword.objects.update(at=timezone.now() - timedelta(hours=25))
    attempt(client, login="nobody")
    assert banned() == []


def test_lifting_begins_the_count_anew(client: Client) -> None:
    for _ in range(4):
        attempt(client, login="nobody")
    bans.lift(ATTACKER, by="anna")
    attempt(client, login="nobody")
    assert banned() == []


def test_wrong_passwords_from_where_nobody_is_banned_change_nothing(client: Client) -> None:
    for _ in range(7):
        assert attempt(client, login="nobody", address="192.0.2.3") in {200, 429}
    assert banned() == []


def test_who_takes_another_ipv6_address_for_each_attempt_is_counted_as_one(client: Client) -> None:
    addresses = [f"2001:db8:1:2:{number:x}::7" for number in range(8)]
    logins = ["anna@175.example", "admin@175.example", "nobody", "anna@176.example", "root"]
    for login, address in zip(logins, addresses, strict=False):
        assert attempt(client, login=login, address=address) == 200
    assert banned() == [addresses[4]], "a ban holds one address"
    for address in (*addresses[5:], "2001:db8:1:2::"):
        answer = client.post("/login", {"username": "operator", "password": PASSWORD}, headers={"X-Real-IP": address})
        assert answer.status_code == 429
        assert "Too many wrong passwords from your network" in answer.content.decode()
    assert banned() == [addresses[4]], "nobody makes the list long"
    assert attempt(client, PASSWORD, address="2001:db8:1:3::7") == 302, "the next network is not concerned"
    client.post("/logout")
    bans.lift(addresses[4], by="anna")
    assert attempt(client, PASSWORD, address=addresses[5]) == 302
    client.post("/logout")


def test_a_closed_network_opens_after_a_day(client: Client) -> None:
    for number in range(5):
        attempt(client, login=f"nobody{number}", address=f"2001:db8::{number}")
    assert attempt(client, PASSWORD, address="2001:db8::9") == 429
    WrongPassword.objects.update(at=timezone.now() - timedelta(hours=25))
    assert attempt(client, PASSWORD, address="2001:db8::9") == 302


def test_one_log_in_is_closed_to_a_whole_ipv6_network(client: Client) -> None:
    for number in range(4):
        assert attempt(client, address=f"2001:db8:ffff::{number}") == 200
    assert attempt(client, address="2001:db8:ffff::9") == 429
    assert attempt(client, PASSWORD, address="2001:db8:ffff::a") == 429
    assert attempt(client, PASSWORD, "admin@175.example", "2001:db8:ffff::a") == 302, (
        "nobody closes what is never banned"
    )


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        (ATTACKER, ATTACKER),
        (f"::ffff:{ATTACKER}", ATTACKER),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8::6", "2001:db8::"),
    ],
)
def test_what_attempts_are_counted_as(address: str, counted: str) -> None:
    assert counted_as(address) == counted


def test_a_tenant_that_logs_in_from_its_networks_alone(client: Client) -> None:
    Tenant.objects.filter(id=175).update(networks=["198.51.100.0/24", "2001:db8::/32"])
    assert attempt(client, PASSWORD, address="198.51.100.7") == 302
    token = client.post("/live/token", headers={"X-Real-IP": "198.51.100.7"})
    assert token.status_code == 200
    client.post("/logout")
    assert attempt(client, PASSWORD, address="2001:db8::5") == 302
    client.post("/logout")
    assert attempt(client, PASSWORD, "anna@176.example", ATTACKER) == 302, "another tenant's people come from anywhere"
    client.post("/logout")
    assert attempt(client, "wrong", address=ATTACKER) == 200
    assert banned() == [], "a stranger does not learn where the tenant is by being banned"
    answer = client.post(
        "/login", {"username": "anna@175.example", "password": PASSWORD}, headers={"X-Real-IP": ATTACKER}
    )
    assert "Your company does not log in from this address" in answer.content.decode()
    assert client.get("/").status_code == 302
    (ban,) = bans.in_force()
    assert ban.reason == "the password of anna@175.example, from outside its tenant's networks"


def test_a_session_that_was_carried_elsewhere_gets_no_token(client: Client) -> None:
    assert attempt(client, PASSWORD, address=HERE) == 302
    Tenant.objects.filter(id=175).update(networks=["198.51.100.0/24"])
    assert client.post("/live/token", headers={"X-Real-IP": HERE}).status_code == 200
    assert client.post("/live/token", headers={"X-Real-IP": ATTACKER}).status_code == 403
    assert banned() == [ATTACKER]
