"""The agent's client against a real HTTPS server: what it asks, and what it makes of every kind of answer."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from centralino.agent import connection as module
from centralino.agent.config import Panel as Settings
from centralino.agent.connection import PanelError
from centralino.agent.panel import NothingPublishedError, PanelClient, Published
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot, publication_tag
from tests.contract.agent.server import Authority, Panel, reply, serve

SNAPSHOT = Snapshot(pbx="pbx01")
OTHER = Snapshot(pbx="pbx02")
RESULT = ApplyResult(
    pbx="pbx01", etag=SNAPSHOT.etag, outcome="live", finished=datetime(2026, 1, 1, tzinfo=UTC), seconds=1
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def panel(authority: Authority) -> Iterator[Panel]:
    made = Panel(reply(500))
    server = serve(made, authority)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(panel: Panel, authority: Authority) -> PanelClient:
    return client_of(panel.url, authority, authority)


def client_of(url: str, trusted: Authority, own: Authority, *, wait: float = 2) -> PanelClient:
    certificate, key = own.issue("pbx01")
    return PanelClient(Settings(url=url, ca=trusted.certificate, certificate=certificate, key=key), wait=wait)


def test_a_new_snapshot_is_taken_and_the_request_says_who_asks_and_what_it_has(
    panel: Panel, client: PanelClient
) -> None:
    panel.answer = reply(200, SNAPSHOT.document(), ETag=f'"{SNAPSHOT.etag}"')
    assert client.fetch("pbx01", "0123456789abcdef") == Published(SNAPSHOT.etag, SNAPSHOT)
    (request,) = panel.requests
    assert (request.method, request.path) == ("GET", "/agent/v1/snapshot?wait=2")
    assert (request.etag, request.client) == ('"0123456789abcdef"', "pbx01")


def test_an_etag_that_a_proxy_made_weak_is_the_same(panel: Panel, client: PanelClient) -> None:
    panel.answer = reply(200, SNAPSHOT.document(), ETag=f'W/"{SNAPSHOT.etag}"')
    assert client.fetch("pbx01", None) == Published(SNAPSHOT.etag, SNAPSHOT)
    assert panel.requests[0].etag is None


def test_a_publication_with_a_number_of_its_own_is_asked_for_by_it(panel: Panel, client: PanelClient) -> None:
    tag = publication_tag(SNAPSHOT.etag, 57)
    panel.answer = reply(200, SNAPSHOT.document(), ETag=f'"{tag}"')
    assert client.fetch("pbx01", SNAPSHOT.etag) == Published(tag, SNAPSHOT)
    panel.answer = reply(304)
    client.fetch("pbx01", tag)
    assert panel.requests[-1].etag == f'"{tag}"'


def test_no_change_is_nothing(panel: Panel, client: PanelClient) -> None:
    panel.answer = reply(304)
    assert client.fetch("pbx01", SNAPSHOT.etag) is None


def test_nothing_published_is_told_apart(panel: Panel, client: PanelClient) -> None:
    panel.answer = reply(404)
    with pytest.raises(NothingPublishedError, match="has published nothing for pbx01 yet"):
        client.fetch("pbx01", None)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((500, b"", ""), r"answered 500: see the panel's journal"),
        ((502, b"<html>", ""), r"answered 502"),
        ((403, b"", ""), r"answered 403: is this guest's certificate known there\?"),
        ((302, b"", ""), r"answered 302"),
        ((200, b"\xff\x00 nonsense", SNAPSHOT.etag), r"does not understand .*is the same release on both guests\?"),
        ((200, b"", SNAPSHOT.etag), r"does not understand"),
        ((200, b'{"pbx":"pbx01","format":2}', SNAPSHOT.etag), r"does not understand \(format: "),
        ((200, b'{"pbx":"pbx01","colour":1}', SNAPSHOT.etag), r"does not understand \(colour: "),
        ((200, SNAPSHOT.document(), "0123456789abcdef"), r"under the name 0123456789abcdef"),
        ((200, SNAPSHOT.document(), ""), r"under the name of none"),
        ((200, OTHER.document(), OTHER.etag), r"configuration of pbx02, and this is pbx01"),
    ],
)
def test_a_bad_answer_is_one_sentence(
    panel: Panel, client: PanelClient, answer: tuple[int, bytes, str], sentence: str
) -> None:
    status, body, tag = answer
    panel.answer = reply(status, body, **({"ETag": f'"{tag}"'} if tag else {}))
    with pytest.raises(PanelError, match=sentence) as error:
        client.fetch("pbx01", None)
    assert "\n" not in str(error.value)


def test_a_secret_in_a_bad_snapshot_is_not_repeated(panel: Panel, client: PanelClient) -> None:
    device = {"endpoint": "t1-aaaaaaaa", "secret": "not;a;good;secret;but;a;secret"}
    extension = {"number": "101", "name": "x", "devices": [device]}
    document = {"pbx": "pbx01", "tenants": [{"id": 1, "name": "x", "extensions": [extension]}]}
    panel.answer = reply(200, json.dumps(document).encode(), ETag='"x"')
    with pytest.raises(PanelError, match=r"tenants.0.extensions.0.devices.0.secret") as error:
        client.fetch("pbx01", None)
    assert "not;a;good" not in str(error.value)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    hang_up(handler)


@pytest.mark.parametrize("answer", [hang_up, break_off])
def test_a_connection_that_breaks_is_one_sentence(panel: Panel, client: PanelClient, answer: object) -> None:
    panel.answer = answer  # type: ignore[assignment]
    with pytest.raises(PanelError, match="is the panel up"):
        client.fetch("pbx01", None)


def test_a_panel_that_never_answers_is_left(
    panel: Panel, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.3)
    panel.answer = lambda _: time.sleep(3)
    started = time.monotonic()
    with pytest.raises(PanelError, match="timed out"):
        client_of(panel.url, authority, authority, wait=0.2).fetch("pbx01", None)
    assert time.monotonic() - started < 2


def test_a_panel_that_answers_drop_by_drop_is_left(
    panel: Panel, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.3)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    panel.answer = drip
    started = time.monotonic()
    with pytest.raises(PanelError, match="did not end in time"):
        client_of(panel.url, authority, authority, wait=0.2).fetch("pbx01", None)
    assert time.monotonic() - started < 3


def test_an_endless_answer_does_not_fill_the_memory(
    panel: Panel, client: PanelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 10_000)
    panel.answer = reply(200, b" " * 50_000)
    with pytest.raises(PanelError, match="longer than 10000 bytes"):
        client.fetch("pbx01", None)


def test_a_panel_of_another_authority_is_not_believed(panel: Panel, authority: Authority, tmp_path: Path) -> None:
    panel.answer = reply(304)
    with pytest.raises(PanelError, match="certificate verify failed"):
        client_of(panel.url, Authority(tmp_path), authority).fetch("pbx01", None)
    assert panel.requests == []


def test_a_panel_under_another_name_is_not_believed(panel: Panel, authority: Authority) -> None:
    with pytest.raises(PanelError, match="certificate verify failed"):
        client_of(panel.url.replace("127.0.0.1", "localhost"), authority, authority).fetch("pbx01", None)


def test_a_stranger_is_not_let_in(panel: Panel, authority: Authority, tmp_path: Path) -> None:
    panel.answer = reply(304)
    with pytest.raises(PanelError):
        client_of(panel.url, authority, Authority(tmp_path)).fetch("pbx01", None)
    assert panel.requests == []


def test_a_panel_that_is_down_is_one_sentence(authority: Authority) -> None:
    with pytest.raises(PanelError, match=r"^https://127.0.0.1:1: .*refused.*is the panel up\?$"):
        client_of("https://127.0.0.1:1", authority, authority).fetch("pbx01", None)


def test_a_missing_certificate_names_the_role(panel: Panel, authority: Authority, tmp_path: Path) -> None:
    settings = Settings(
        url=panel.url, ca=authority.certificate, certificate=tmp_path / "no.crt", key=tmp_path / "no.key"
    )
    with pytest.raises(PanelError, match=r"no.crt .*cannot be used.*run role pki"):
        PanelClient(settings).fetch("pbx01", None)


def test_a_result_is_delivered(panel: Panel, client: PanelClient) -> None:
    panel.answer = reply(204)
    client.deliver(RESULT)
    (request,) = panel.requests
    assert (request.method, request.path, request.client) == ("POST", "/agent/v1/result", "pbx01")
    assert ApplyResult.model_validate_json(request.body) == RESULT


def test_a_result_that_the_panel_cannot_take_now_is_kept_and_one_that_it_never_takes_is_not(
    panel: Panel, client: PanelClient
) -> None:
    panel.answer = reply(503)
    with pytest.raises(PanelError, match="answered 503"):
        client.deliver(RESULT)
    panel.answer = reply(422)
    client.deliver(RESULT)
