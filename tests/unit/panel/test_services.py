"""Publishing, results, passwords, keys and tokens, on the real database."""

# ruff: noqa: E501 - statements read best on one line

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.contrib.auth.hashers import ScryptPasswordHasher, make_password
from django.db import connection
from django.utils import timezone

from centralino.contract import tokens as contract
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot
from centralino.panel.models import ApplyRecord, Device, Publication, SigningKey, Tenant, User
from centralino.panel.services import keys, publish, results, tenants, tokens, users
from centralino.panel.services.errors import ServiceError
from tests.unit.panel.samples import PASSWORD, tenant_file


def in_thread[T](work: Callable[[], T]) -> tuple[threading.Thread, list[T]]:
    """Start work in a thread with a database connection of its own."""
    done: list[T] = []

    def run() -> None:
        try:
            done.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, done


def told_after(seconds: float, etag: str) -> bool:
    time.sleep(seconds)
    return results.record(result(etag))


def result(etag: str, outcome: str = "live", pbx: str = "pbx01") -> ApplyResult:
    return ApplyResult.model_validate(
        {"pbx": pbx, "etag": etag, "outcome": outcome, "message": "m", "finished": datetime.now(UTC), "seconds": 0.5}
    )


@pytest.mark.usefixtures("two_tenants")
def test_a_publication_is_the_contracts_snapshot_of_that_pbx_alone() -> None:
    tenants.import_tenant(tenant_file(200, pbx="pbx02"), source="test")
    publication, new = publish.publish("pbx01", by="test")
    assert new
    snapshot = Snapshot.model_validate_json(publication.document)
    assert [tenant.id for tenant in snapshot.tenants] == [175, 176]
    assert (snapshot.pbx, snapshot.etag) == ("pbx01", publication.etag)
    first = snapshot.tenants[0].extensions[0]
    assert {device.endpoint for device in first.devices} == set(
        Device.objects.filter(extension__tenant=175, extension__number="101").values_list("endpoint", flat=True)
    )


@pytest.mark.usefixtures("two_tenants")
def test_only_a_difference_is_published() -> None:
    first, _ = publish.publish("pbx01", by="test")
    again, new = publish.publish("pbx01", by="test")
    assert (again.id, new) == (first.id, False)
    # A password is the panel's own matter: no PBX hears of it.
    users.set_password("anna@175.example", "another good one 9")
    assert publish.publish("pbx01", by="test")[1] is False
    tenants.import_tenant(tenant_file(175, name="Renamed"), source="test")
    assert publish.publish("pbx01", by="test")[1] is True


@pytest.mark.usefixtures("empty")
def test_a_pbx_whose_last_tenant_left_gets_an_empty_snapshot() -> None:
    assert publish.latest("pbx02") is None
    publication, _ = publish.publish("pbx02", by="test")
    assert Snapshot.model_validate_json(publication.document).tenants == ()
    with pytest.raises(ServiceError, match="no PBX 'cti01'"):
        publish.publish("cti01", by="test")


@pytest.mark.usefixtures("empty")
def test_old_publications_go() -> None:
    tenants.import_tenant(tenant_file(), source="test")
    for number in range(publish.KEPT + 3):
        Tenant.objects.update(name=f"name {number}")
        publish.publish("pbx01", by="test")
    assert Publication.objects.count() == publish.KEPT
    newest = publish.latest("pbx01")
    assert newest is not None
    assert json.loads(newest.document)["tenants"][0]["name"] == f"name {publish.KEPT + 2}"


@pytest.mark.usefixtures("empty")
def test_a_waiting_poll_wakes_within_100_ms_and_holds_no_transaction() -> None:
    tenants.import_tenant(tenant_file(), source="test")
    current, _ = publish.publish("pbx01", by="test")
    thread, found = in_thread(lambda: (publish.wait_for_other("pbx01", {current.etag}, 20), time.monotonic()))
    waiting = []
    for _ in range(100):
        time.sleep(0.02)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT state, xact_start FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query ILIKE 'LISTEN%%'"
                " OR (pid <> pg_backend_pid() AND query LIKE '%%panel_publication%%')"
            )
            waiting = cursor.fetchall()
        if waiting == [("idle", None)]:
            break
    assert waiting == [("idle", None)]
    time.sleep(0.2)
    Tenant.objects.update(name="New name")
    published, _ = publish.publish("pbx01", by="test")
    committed = time.monotonic()
    thread.join(5)
    woken, when = found[0]
    assert woken is not None
    assert woken.id == published.id
    assert when - committed < 0.1


@pytest.mark.usefixtures("empty")
def test_a_poll_is_not_woken_by_another_pbx_and_ends_in_time() -> None:
    current, _ = publish.publish("pbx01", by="test")
    thread, found = in_thread(lambda: publish.wait_for_other("pbx01", {current.etag}, 0.6))
    time.sleep(0.2)
    publish.publish("pbx02", by="test")
    thread.join(0.2)
    assert thread.is_alive()
    thread.join(2)
    assert found[0] is not None
    assert found[0].id == current.id


@pytest.mark.usefixtures("empty")
def test_a_result_belongs_to_the_newest_publication_of_its_etag() -> None:
    tenants.import_tenant(tenant_file(name="A"), source="test")
    first, _ = publish.publish("pbx01", by="test")
    assert [s.state for s in results.states()] == ["pending", "none"]
    assert results.record(result(first.etag, "refused"))
    assert [s.state for s in results.states(["pbx01"])] == ["refused"]
    tenants.import_tenant(tenant_file(name="B"), source="test")
    publish.publish("pbx01", by="test")
    tenants.import_tenant(tenant_file(name="A"), source="test")
    again, new = publish.publish("pbx01", by="test")
    assert (again.etag, new) == (first.etag, True)
    assert [s.state for s in results.states(["pbx01"])] == ["pending"]
    results.record(result(again.etag))
    assert [s.state for s in results.states(["pbx01"])] == ["live"]
    assert ApplyRecord.objects.get(outcome="live").publication_id == again.id
    assert not results.record(result("0" * 16))


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("outcome", ["refused", "reverted"])
def test_what_did_not_go_live_is_published_again_by_the_next_apply(outcome: str) -> None:
    first, _ = publish.publish("pbx01", by="test")
    results.record(result(first.etag, outcome))
    again, new = publish.publish("pbx01", by="test")
    assert (new, again.etag) == (True, first.etag)
    assert [s.state for s in results.states(["pbx01"])] == ["pending"]
    assert publish.publish("pbx01", by="test") == (again, False)  # while the PBX is at it, nothing is asked twice
    found = publish.wait_for_other("pbx01", {publish.tag(first)}, 0)
    assert found is not None
    assert publish.tag(found) == f"{first.etag}.{again.id}"
    results.record(result(again.etag))
    assert publish.publish("pbx01", by="test")[1] is False


@pytest.mark.usefixtures("empty")
def test_a_pbx_that_was_away_hears_of_a_publication_that_it_runs_already() -> None:
    tenants.import_tenant(tenant_file(name="A"), source="test")
    first, _ = publish.publish("pbx01", by="test")
    results.record(result(first.etag))
    tenants.import_tenant(tenant_file(name="B"), source="test")
    publish.publish("pbx01", by="test")
    tenants.import_tenant(tenant_file(name="A"), source="test")
    third, _ = publish.publish("pbx01", by="test")
    start = time.monotonic()
    current = publish.wait_for_other("pbx01", {publish.tag(first)}, 20)
    assert time.monotonic() - start < 1
    assert current == third
    assert (publish.tag(first), publish.tag(third)) == (first.etag, f"{first.etag}.{third.id}")


@pytest.mark.usefixtures("empty")
def test_following_ends_when_all_have_told_or_the_time_is_over() -> None:
    publication, _ = publish.publish("pbx01", by="test")
    assert [[s.state for s in step] for step in results.follow(["pbx01"], 0.2)][-1] == ["pending"]
    thread, _ = in_thread(lambda: told_after(0.3, publication.etag))
    start = time.monotonic()
    assert [[s.state for s in step] for step in results.follow(["pbx01"], 10)] == [["pending"], ["live"]]
    assert time.monotonic() - start < 2
    thread.join()


@pytest.mark.usefixtures("two_tenants")
def test_a_password_is_set_once() -> None:
    stored = User.objects.get(login="anna@175.example").password
    assert stored.startswith("scrypt$")
    assert users.set_password("anna@175.example", PASSWORD) is False
    assert User.objects.get(login="anna@175.example").password == stored
    assert users.set_password("anna@175.example", "another good one 9") is True
    with pytest.raises(ServiceError, match="too short"):
        users.set_password("anna@175.example", "short")
    with pytest.raises(ServiceError, match=r"login nobody@175\.example: there is none"):
        users.set_password("nobody@175.example", PASSWORD)


@pytest.mark.usefixtures("two_tenants")
def test_nobodys_log_in_waits_while_first_passwords_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password takes a fifth of a second to hash, and a new tenant may bring a thousand."""
    User.objects.filter(login="anna@175.example").update(password=make_password(None))
    given = {"anna@175.example": "another good one 9", "admin@175.example": PASSWORD}
    encode = ScryptPasswordHasher.encode

    def encode_while_others_log_in(*arguments: Any, **options: Any) -> str:
        thread, done = in_thread(lambda: User.objects.filter(login__in=given).update(last_login=timezone.now()))
        thread.join(2)
        assert done == [2]
        return encode(*arguments, **options)

    monkeypatch.setattr(ScryptPasswordHasher, "encode", encode_while_others_log_in)
    assert users.give_first_passwords(given) == ["anna@175.example"]
    monkeypatch.undo()
    assert users.set_password("anna@175.example", "another good one 9") is False


@pytest.mark.usefixtures("two_tenants")
def test_an_operator_is_made_once_and_takes_nobodys_login() -> None:
    assert users.make_operator("second") is True
    assert users.make_operator("second") is False
    with pytest.raises(ServiceError, match="belongs to a tenant"):
        users.make_operator("anna@175.example")
    for wrong in ("An Operator", "ab", "o" * 81, "o\udce9rator"):
        with pytest.raises(ServiceError, match="write 3 to 80 small letters"):
            users.make_operator(wrong)


def verified(token: str) -> contract.Claims:
    """Verify a token by the published keys alone, as the CTI proxy does."""
    published = {key.kid: key for key in keys.public_keys().keys}
    key = published[jwt.get_unverified_header(token)["kid"]]
    payload = jwt.decode(
        token,
        jwt.PyJWK(key.model_dump()),
        algorithms=[contract.ALGORITHM],
        audience=contract.AUDIENCE,
        issuer=contract.ISSUER,
    )
    return contract.Claims.model_validate(payload)


@pytest.mark.usefixtures("two_tenants")
def test_a_token_names_who_and_is_verified_by_the_published_key() -> None:
    anna = User.objects.get(login="anna@175.example")
    issued = tokens.issue(anna, Tenant.objects.get(id=175))
    claims = verified(issued.token)
    assert (claims.sub, claims.tenant, claims.extension, claims.role) == ("anna@175.example", 175, "101", "user")
    assert claims.exp - claims.iat == contract.LIFETIME
    assert claims.exp == issued.expires
    operator = tokens.issue(User.objects.get(login="operator"), Tenant.objects.get(id=176))
    assert verified(operator.token).tenant == 176
    with pytest.raises(PermissionError):
        tokens.issue(anna, Tenant.objects.get(id=176))


@pytest.mark.usefixtures("empty")
def test_keys_are_announced_before_and_listed_after_their_hour() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = keys.signing_key(start).kid
    assert keys.signing_key(start + timedelta(minutes=49)).kid == first
    assert [key.kid for key in keys.public_keys(start + timedelta(minutes=49)).keys] == [first]
    announced = [key.kid for key in keys.public_keys(start + timedelta(minutes=51)).keys]
    assert len(announced) == 2
    assert keys.signing_key(start + timedelta(minutes=59)).kid == first
    assert keys.signing_key(start + timedelta(minutes=61)).kid == announced[1]
    after = start + timedelta(minutes=60) + keys.KEPT
    assert first in {key.kid for key in keys.public_keys(after - timedelta(seconds=1)).keys}
    # Once the last token of the first key is over, it is listed no more, and goes when the next is made.
    assert first not in {key.kid for key in keys.public_keys(after + timedelta(seconds=1)).keys}
    keys.signing_key(start + timedelta(minutes=115))
    assert not SigningKey.objects.filter(kid=first).exists()
    # A day without a request: a fresh key at once.
    assert keys.signing_key(start + timedelta(days=1)).kid not in announced


@pytest.mark.usefixtures("empty")
def test_many_processes_at_once_make_one_key() -> None:
    gate = threading.Barrier(12)

    def ask() -> str:
        gate.wait()
        return keys.signing_key().kid

    threads = [in_thread(ask) for _ in range(12)]
    for thread, _ in threads:
        thread.join(20)
    assert len({found[0] for _, found in threads}) == 1
    assert SigningKey.objects.count() == 1
