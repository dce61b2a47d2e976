"""The agent API, asked as nginx forwards the guests' requests: over the Unix socket of a real gunicorn."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from centralino.contract.phones import CheckSyncs
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot
from centralino.contract.tenant_file import PhoneEntry
from centralino.contract.tokens import KeySet
from centralino.panel.models import Device, Tenant
from centralino.panel.services import check_sync, phones, publish, results, tenants
from tests.unit.panel import environment
from tests.unit.panel.samples import tenant_file

pytestmark = pytest.mark.usefixtures("empty")


@contextmanager
def guest(socket: Path, name: str | None) -> Iterator[httpx.Client]:
    headers = {"Host": "panel.test", "X-Forwarded-Proto": "https"} | ({"X-Client-Name": name} if name else {})
    transport = httpx.HTTPTransport(uds=str(socket))
    with httpx.Client(
        base_url="http://panel.test/agent/v1/", headers=headers, transport=transport, timeout=60
    ) as client:
        yield client


def told(etag: str, **changes: object) -> bytes:
    values = {"pbx": "pbx01", "etag": etag, "outcome": "live", "finished": datetime.now(UTC), "seconds": 0.4}
    return ApplyResult.model_validate(values | changes).model_dump_json().encode()


def test_a_pbx_fetches_its_snapshot_and_tells_the_result(panel: Path) -> None:
    tenants.import_tenant(tenant_file(), source="test")
    with guest(panel, "pbx01") as pbx:
        nothing = pbx.get("snapshot")
        assert nothing.status_code == 404
        assert "run `centralino apply`" in nothing.json()["error"]
        publish.publish("pbx01", by="test")
        answer = pbx.get("snapshot")
        snapshot = Snapshot.model_validate_json(answer.content)
        assert answer.headers["ETag"] == f'"{snapshot.etag}"'
        assert answer.content == snapshot.document()
        for tag in (f'"{snapshot.etag}"', f'W/"{snapshot.etag}"', f'"other", "{snapshot.etag}"'):
            same = pbx.get("snapshot", headers={"If-None-Match": tag})
            assert (same.status_code, same.content) == (304, b"")
        assert pbx.get("snapshot", headers={"If-None-Match": '"0000000000000000"'}).status_code == 200
        assert pbx.post("result", content=told(snapshot.etag)).status_code == 204
        assert [state.state for state in results.states(["pbx01"])] == ["live"]
        assert pbx.post("result", content=told("f" * 16)).status_code == 204


def test_a_pbx_that_comes_back_to_a_publication_that_it_runs_already_tells_of_it(panel: Path) -> None:
    tenants.import_tenant(tenant_file(name="A"), source="test")
    with guest(panel, "pbx01") as pbx:
        first, _ = publish.publish("pbx01", by="test")
        assert pbx.post("result", content=told(first.etag)).status_code == 204
        for name in ("B", "A"):  # it is away meanwhile
            tenants.import_tenant(tenant_file(name=name), source="test")
            publish.publish("pbx01", by="test")
        assert [state.state for state in results.states(["pbx01"])] == ["pending"]
        answer = pbx.get("snapshot", headers={"If-None-Match": f'"{first.etag}"'})
        assert (answer.status_code, answer.content) == (200, first.document.encode())
        assert pbx.post("result", content=told(first.etag)).status_code == 204
        assert [state.state for state in results.states(["pbx01"])] == ["live"]
        same = pbx.get("snapshot", headers={"If-None-Match": answer.headers["ETag"]})
        assert (same.status_code, same.headers["ETag"]) == (304, answer.headers["ETag"])


def test_a_bad_result_is_refused_with_a_sentence(panel: Path) -> None:
    publication, _ = publish.publish("pbx01", by="test")
    with guest(panel, "pbx01") as pbx:
        assert pbx.post("result", content=b"{").status_code == 422
        assert pbx.post("result", content=told(publication.etag).replace(b"live", b"dead")).status_code == 422
        assert pbx.post("result", content=told(publication.etag, pbx="pbx02")).status_code == 403
        assert pbx.post("result", content=b" " * 40_000).status_code == 413
        assert pbx.get("result").status_code == 405
        assert pbx.get("snapshot?wait=soon").status_code == 400
    assert [state.state for state in results.states(["pbx01"])] == ["pending"]


def test_each_guest_gets_what_its_kind_may_have(panel: Path) -> None:
    publish.publish("pbx01", by="test")
    for name, snapshot, keys in (("pbx01", 200, 403), ("cti01", 403, 200), ("web01", 403, 403), (None, 403, 403)):
        with guest(panel, name) as client:
            assert client.get("snapshot").status_code == snapshot
            assert client.get("keys").status_code == keys
    with guest(panel, "cti01") as cti:
        answer = cti.get("keys")
        assert len(KeySet.model_validate_json(answer.content).keys) == 1
        # Headers whose name nginx lets through in another spelling must not pass for the one that it sets.
        forged = {"X_Client_Name": "pbx01", "X-Client-Name": "web01"}
        assert cti.get("snapshot", headers=forged).status_code == 403


def test_a_pbx_is_given_the_phones_that_it_is_to_tell(panel: Path) -> None:
    tenants.import_tenant(tenant_file(), source="test")
    entry = {"mac": "001565aabbcc", "model": "yealink-t54w", "devices": ["101/desk"]}
    phones.put(175, PhoneEntry.model_validate(entry))
    with guest(panel, "pbx01") as pbx, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: pbx.get("check-syncs?wait=20"))
        time.sleep(0.5)
        assert not waiting.done()
        check_sync.request(phones.every())
        (told_of,) = CheckSyncs.model_validate_json(waiting.result(2).content).requests
        assert told_of.endpoint == Device.objects.get(phone_account__phone__mac="001565aabbcc").endpoint
        assert CheckSyncs.model_validate_json(pbx.get("check-syncs").content).requests == (told_of,)
        assert pbx.delete("check-syncs?upto=soon").status_code == 400
        assert pbx.get("check-syncs?wait=-1").status_code == 400
        assert pbx.delete(f"check-syncs?upto={told_of.id}").status_code == 204
        assert CheckSyncs.model_validate_json(pbx.get("check-syncs").content).requests == ()
    for name in ("cti01", None):
        with guest(panel, name) as other:
            assert other.get("check-syncs").status_code == 403
            assert other.delete("check-syncs?upto=1").status_code == 403


def test_a_poll_ends_in_time_with_304(panel: Path) -> None:
    current, _ = publish.publish("pbx01", by="test")
    with guest(panel, "pbx01") as pbx:
        start = time.monotonic()
        answer = pbx.get("snapshot?wait=1", headers={"If-None-Match": f'"{current.etag}"'})
        assert answer.status_code == 304
        assert 0.9 < time.monotonic() - start < 2


def test_ten_polls_wait_at_once_pages_stay_quick_and_all_wake(panel: Path) -> None:
    tenants.import_tenant(tenant_file(), source="test")
    current, _ = publish.publish("pbx01", by="test")

    def poll() -> tuple[str, float]:
        with guest(panel, "pbx01") as pbx:
            answer = pbx.get("snapshot?wait=30", headers={"If-None-Match": f'"{current.etag}"'})
            return answer.headers["ETag"], time.monotonic()

    with ThreadPoolExecutor(10) as pool:
        polls = [pool.submit(poll) for _ in range(10)]
        time.sleep(2)
        assert not any(poll.done() for poll in polls)
        with guest(panel, None) as browser:
            start = time.monotonic()
            assert browser.get("http://panel.test/health").json() == {"status": "ok", "database": "ok"}
            assert time.monotonic() - start < 1
        Tenant.objects.update(name="Changed")
        published, _ = publish.publish("pbx01", by="test")
        committed = time.monotonic()
        answers = [poll.result(10) for poll in polls]
    assert {tag for tag, _ in answers} == {f'"{published.etag}"'}
    assert max(when for _, when in answers) - committed < 1
    assert min(when for _, when in answers) - committed < 0.1


def poll(socket: Path, etag: str, seconds: int) -> int:
    """Wait for another publication than this one of pbx02; return the answer's status."""
    with guest(socket, "pbx02") as pbx:
        return pbx.get(f"snapshot?wait={seconds}", headers={"If-None-Match": f'"{etag}"'}).status_code


def test_a_restart_does_not_wait_for_polls() -> None:
    current, _ = publish.publish("pbx02", by="test")
    socket = environment.FOLDER / "other.sock"

    with ThreadPoolExecutor(1) as pool:
        with environment.server(socket=socket):
            waiting = pool.submit(poll, socket, current.etag, 40)
            time.sleep(2)
            assert not waiting.done()
            start = time.monotonic()
        # Leaving the block told the server to stop and waited for it.
        assert time.monotonic() - start < 5
        assert waiting.result(1) == 304


def test_while_one_thread_is_free_nobody_waits_behind_polls() -> None:
    current, _ = publish.publish("pbx02", by="test")
    socket = environment.FOLDER / "busy.sock"

    with ThreadPoolExecutor(7) as pool, environment.server("--threads", "4", socket=socket):
        polls = [pool.submit(poll, socket, current.etag, 20) for _ in range(7)]
        time.sleep(2)
        for _ in range(8):
            with guest(socket, None) as browser:
                start = time.monotonic()
                assert browser.get("http://panel.test/health").is_success
                assert time.monotonic() - start < 2
        assert not any(waiting.done() for waiting in polls)
