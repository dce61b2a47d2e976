"""What each person sees, and what nobody does."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from centralino.contract.tokens import Claims
from centralino.panel.models import User
from centralino.panel.services import publish
from tests.unit.panel import environment
from tests.unit.panel.samples import PASSWORD
from tests.unit.panel.test_services import verified

pytestmark = pytest.mark.usefixtures("two_tenants")


def log_in(client: Client, login: str) -> Client:
    response = client.post("/login", {"username": login, "password": PASSWORD})
    assert response.status_code == 302, response.content.decode()
    return client


def claims(client: Client, **data: str) -> Claims:
    response = client.post("/live/token", data)
    assert response.status_code == 200
    assert response.json()["url"] == f"wss://localhost:{environment.CTI_PORT}/live"
    return verified(response.json()["token"])


def test_a_stranger_is_sent_to_the_log_in(client: Client) -> None:
    for page in ("/", "/extensions", "/tenants"):
        assert client.get(page)["Location"].startswith("/login?next=")
    assert client.post("/live/token").status_code == 401


def test_a_form_of_a_session_that_is_over_leads_to_a_page_after_the_log_in(client: Client) -> None:
    for form in ("/logout", "/bans/lift"):
        assert client.post(form)["Location"] == "/login"


def test_the_log_in_leads_nowhere_else_and_not_to_itself(client: Client) -> None:
    elsewhere = ("/login", "/login?x=1", "//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:alert(1)")
    for wanted in elsewhere:
        response = client.post("/login", {"username": "anna@175.example", "password": PASSWORD, "next": wanted})
        assert response["Location"] == "/"
        assert client.get("/login", {"next": wanted})["Location"] == "/"
        client.post("/logout")


def test_a_person_sees_the_own_tenant_and_no_other(client: Client) -> None:
    log_in(client, "Anna@175.example ")
    page = client.get("/").content.decode()
    assert re.findall(r'data-extension="(\d+)"', page) == ["101", "102"]
    assert "Anna of 175" in page
    assert "of 176" not in page
    assert 'data-state="unknown"' in page
    assert client.get("/?tenant=175").status_code == 200


@pytest.mark.parametrize("login", ["anna@175.example", "admin@175.example"])
def test_another_tenant_is_not_there_by_any_way(client: Client, login: str) -> None:
    log_in(client, login)
    for wanted in ("176", "999", "x", "-1", "9" * 30, "٣"):
        assert client.get("/", {"tenant": wanted}).status_code == 404
        assert client.post("/live/token", {"tenant": wanted}).status_code == 404
    assert client.get("/extensions?tenant=176").status_code in {403, 404}
    assert client.get("/tenants").status_code == 403
    assert claims(client).tenant == 175
    assert claims(client, tenant="175").tenant == 175


def test_an_operator_chooses(client: Client) -> None:
    log_in(client, "operator")
    assert client.get("/")["Location"] == "/tenants"
    chooser = client.get("/tenants").content.decode()
    assert "Company 175" in chooser
    assert "Company 176" in chooser
    assert "Anna of 176" in client.get("/?tenant=176").content.decode()
    assert claims(client, tenant="176").role == "operator"
    assert client.post("/live/token").status_code == 404


def test_lists_and_the_apply_state_are_for_administrators(client: Client) -> None:
    log_in(client, "anna@175.example")
    assert client.get("/extensions").status_code == 403
    assert "data-apply" not in client.get("/").content.decode()
    client.post("/logout")
    log_in(client, "admin@175.example")
    assert "Bruno of 175" in client.get("/extensions").content.decode()
    assert 'data-apply="none" data-pbx="pbx01"' in client.get("/").content.decode()
    publish.publish("pbx01", by="test")
    page = client.get("/").content.decode()
    assert 'data-apply="pending" data-pbx="pbx01"' in page
    assert "pbx02" not in page


def test_a_wrong_password_says_the_same_for_everyone_and_the_fifth_locks_that_pair_out(client: Client) -> None:
    def attempt(login: str, password: str, address: str = "198.51.100.7") -> tuple[int, str]:
        response = client.post("/login", {"username": login, "password": password}, headers={"X-Real-IP": address})
        return response.status_code, " ".join(re.findall(r'role="alert">([^<]+)', response.content.decode()))

    unknown = attempt("nobody@175.example", "wrong")
    wrong = attempt("anna@175.example", "wrong")
    assert unknown == wrong
    assert wrong[0] == 200
    assert "do not match" in wrong[1]
    for variant in ("ANNA@175.example", "anna@175.example ", "anna@175.example"):
        assert attempt(variant, "wrong")[0] == 200
    locked = attempt("anna@175.example", "wrong")
    assert locked[0] == 429
    assert "Wait 15 minutes" in locked[1]
    assert attempt("anna@175.example", PASSWORD)[0] == 429
    # Another person at the same address, and the same person elsewhere, still get in.
    assert attempt("admin@175.example", PASSWORD)[0] == 302
    client.post("/logout")
    assert attempt("anna@175.example", PASSWORD, "198.51.100.8")[0] == 302


def test_a_closed_login_and_a_new_password_end_the_session(client: Client) -> None:
    log_in(client, "anna@175.example")
    user = User.objects.get(login="anna@175.example")
    user.set_password("something else 12")
    user.save()
    assert client.get("/").status_code == 302
    assert client.post("/live/token").status_code == 401


def test_sessions_that_nobody_ended_are_gone_with_the_next_log_in(client: Client) -> None:
    log_in(client, "anna@175.example")
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    log_in(Client(headers={"Host": "panel.test", "X-Forwarded-Proto": "https"}), "admin@175.example")
    assert Session.objects.count() == 1


def test_forms_need_their_token() -> None:
    strict = Client(enforce_csrf_checks=True, headers={"Host": "panel.test", "X-Forwarded-Proto": "https"})
    for address in ("/login", "/logout", "/live/token"):
        assert strict.post(address, {"username": "anna@175.example", "password": PASSWORD}).status_code == 403


def test_every_page_carries_the_browsers_orders(client: Client) -> None:
    response = client.get("/login")
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"connect-src 'self' wss://localhost:{environment.CTI_PORT}" in policy
    assert "unsafe" not in policy
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "max-age=31536000" in response["Strict-Transport-Security"]
    log_in(client, "anna@175.example")
    for name, cookie in client.cookies.items():
        assert name.startswith("__Host-")
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
    page = client.get("/")
    assert "no-store" in page["Cache-Control"]
    assert not re.search(r"<(script|style)(?![^>]*src=)[^>]*>|\sstyle=|\son\w+=", page.content.decode())


def test_a_foreign_host_and_a_missing_page_are_answered_plainly(client: Client) -> None:
    assert client.get("/login", headers={"Host": "evil.test"}).status_code == 400
    log_in(client, "anna@175.example")
    missing = client.get("/nothing-here")
    assert missing.status_code == 404
    assert "nothing at this address" in missing.content.decode()


def test_health(client: Client) -> None:
    response = client.get("/health")
    assert (response.status_code, json.loads(response.content)) == (200, {"status": "ok", "database": "ok"})
