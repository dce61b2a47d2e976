"""The ban list of the agent API, asked as nginx forwards the guests' requests."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from centralino.contract.bans import BanList, Report
from centralino.panel.services import bans
from tests.contract.panel.test_agent_api import guest

pytestmark = pytest.mark.usefixtures("empty")

REPORT = Report.model_validate({"address": "203.0.113.7", "part": "sip", "reason": "3 wrong SIP passwords"})


def send(client: httpx.Client, document: str | bytes) -> httpx.Response:
    return client.post("bans", content=document)


def test_what_one_guest_reports_every_guest_fetches(panel: Path) -> None:
    with guest(panel, "pbx01") as pbx:
        assert BanList.model_validate_json(pbx.get("bans").content) == BanList()
        assert send(pbx, REPORT.model_dump_json()).status_code == 204
    for name in ("pbx01", "pbx02", "cti01", "web01"):
        with guest(panel, name) as client:
            answer = client.get("bans")
            listed = BanList.model_validate_json(answer.content)
            assert [(str(ban.address), ban.guest, ban.reason) for ban in listed.bans] == [
                ("203.0.113.7", "pbx01", "3 wrong SIP passwords")
            ]
            assert answer.headers["ETag"] == f'"{listed.etag}"'
            same = client.get("bans", headers={"If-None-Match": f'"{listed.etag}"'})
            assert (same.status_code, same.content) == (304, b"")


def test_who_is_no_guest_neither_reports_nor_reads(panel: Path) -> None:
    for name in ("pbx09", None):
        with guest(panel, name) as stranger:
            assert stranger.get("bans").status_code == 403
            assert send(stranger, REPORT.model_dump_json()).status_code == 403
    assert bans.in_force() == []


def test_a_bad_report_is_refused_with_a_sentence(panel: Path) -> None:
    with guest(panel, "web01") as web:
        own = REPORT.model_copy(update={"address": "192.0.2.3"}).model_dump_json()
        refused = send(web, own)
        assert refused.status_code == 409
        assert "192.0.2.3 is in 192.0.2.0/28, which is never banned" in refused.json()["error"]
        assert send(web, "{").status_code == 422
        assert send(web, REPORT.model_dump_json().replace("203.0.113.7", "0.0.0.0")).status_code == 422  # noqa: S104
        assert send(web, " " * 3000).status_code == 413
        assert web.get("bans?wait=soon").status_code == 400
        assert web.put("bans").status_code == 405
    assert bans.in_force() == []


def test_waiting_guests_hear_of_a_ban_and_of_its_lifting_at_once(panel: Path) -> None:
    def poll(name: str, etag: str) -> tuple[BanList, float]:
        with guest(panel, name) as client:
            answer = client.get("bans?wait=30", headers={"If-None-Match": f'"{etag}"'})
            return BanList.model_validate_json(answer.content), time.monotonic()

    etag = BanList().etag
    with ThreadPoolExecutor(4) as pool:
        for expected in (1, 0):
            polls = [pool.submit(poll, name, etag) for name in ("pbx01", "pbx02", "cti01", "web01")]
            time.sleep(1.5)
            assert not any(one.done() for one in polls)
            if expected:
                bans.ban(REPORT, guest="pbx01")
            else:
                bans.lift("203.0.113.7", by="test")
            changed = time.monotonic()
            for listed, when in (one.result(10) for one in polls):
                assert len(listed.bans) == expected
                assert when - changed < 1
                etag = listed.etag


def test_a_poll_ends_in_time_with_304(panel: Path) -> None:
    with guest(panel, "pbx01") as pbx:
        start = time.monotonic()
        answer = pbx.get("bans?wait=1", headers={"If-None-Match": f'"{BanList().etag}"'})
        assert answer.status_code == 304
        assert 0.9 < time.monotonic() - start < 2
