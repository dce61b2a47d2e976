"""Who gets in, and what happens to those who do not or who misbehave."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from centralino.cti.pictures import LISTS
from tests.benchmarks.cti.fake_ami import event
from tests.contract.cti.conftest import Stage, message, silence, until
from tests.contract.cti.panel import Signer
from tests.contract.cti.test_garbage import request

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


async def refused(browser: ClientConnection) -> tuple[str, int]:
    """Return the code of the error and of the close behind it."""
    error = await message(browser)
    assert error["type"] == "error"
    with pytest.raises(ConnectionClosed) as closed:
        await message(browser)
    assert closed.value.rcvd is not None
    return error["code"], closed.value.rcvd.code


async def flood(browser: ClientConnection) -> None:
    for _ in range(200):
        await browser.send("{")
    for _ in range(200):
        await message(browser)


async def http(stage: Stage, path: str) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=stage.client_context())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def test_only_a_genuine_token_of_now_lets_in(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        forger = Signer(stage.signer.kid)
        good = stage.signer.token(175)
        unsigned = good.rpartition(".")[0] + "."
        for token, code in {
            stage.signer.token(175, age=400): "token_expired",
            forger.token(175): "token_invalid",
            Signer().token(175): "token_invalid",
            stage.signer.token(175, aud="somebody-else"): "token_invalid",
            stage.signer.token(175, iss="somebody-else"): "token_invalid",
            stage.signer.token(0): "token_invalid",
            unsigned: "token_invalid",
            "nonsense": "token_invalid",
            "": "token_missing",
        }.items():
            if not token:
                continue
            async with stage.connect(f"/live?token={token}") as browser:
                assert await refused(browser) == (code, 4401)

    run(scene)


def test_the_token_may_come_as_the_first_message_and_must_come(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr("centralino.cti.web.client.TOKEN_TIMEOUT", 0.3)

    async def scene(stage: Stage) -> None:
        async with stage.connect("/live") as browser:
            await browser.send(json.dumps({"hello": 1}))
            assert (await message(browser))["code"] == "token_missing"
            await browser.send(json.dumps({"type": "token", "token": stage.signer.token(175)}))
            assert (await message(browser))["type"] == "snapshot"
        async with stage.connect("/live") as browser:
            assert await refused(browser) == ("token_missing", 4401)

    run(scene)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_origin_path_and_protocol_are_checked(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        token = stage.signer.token(175)
        for path, origin, status in (
            (f"/live?token={token}", "https://evil.example", 403),
            (f"/live?token={token}", "null", 403),
            (f"/nowhere?token={token}", "https://panel.example.org", 404),
        ):
            with pytest.raises(InvalidStatus) as refusal:
                async with stage.connect(path, origin=origin):
                    pass
            assert refusal.value.response.status_code == status
        async with stage.live(175, origin=None) as program:
            assert (await message(program))["type"] == "snapshot"
        old = stage.client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError, ValueError)):
            await asyncio.open_connection("127.0.0.1", stage.port, ssl=old)

    run(scene)


def test_health_tells_the_pbxes_and_no_secret(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            status, body = await http(stage, "/health")
            assert status == "HTTP/1.1 200 OK"
            assert json.loads(body) == {
                "status": "ok",
                "pbx": {"pbx01": "up", "pbx02": "up"},
                "keys": 1,
                "clients": 1,
            }
            await stage.pbx02.stop()
            await until(lambda: stage.service.health()["status"] == "degraded")
            status, body = await http(stage, "/health")
            assert status == "HTTP/1.1 503 Service Unavailable"
            assert json.loads(body)["pbx"] == {"pbx01": "up", "pbx02": "down"}

    run(scene)


def test_actions_and_nonsense_get_an_error_and_reach_no_pbx(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.amiws(175) as browser, stage.live(175) as other:
            for _ in range(2):
                await message(browser)
            await message(other)
            for sent, code in (
                ('{"Action": "Originate", "Channel": "PJSIP/t176-x\\r\\nAction: Logoff"}', "bad_value"),
                ('{"Action": "Command", "Command": "core stop now"}', "unknown_action"),
                ("{", "bad_json"),
                ("[1]", "bad_message"),
                ('"Ping"', "bad_message"),
                (b"\x00", "binary"),
            ):
                await browser.send(sent)
                assert (await message(browser))["code"] == code
            await silence(other)
            assert {action["Action"] for action in stage.pbx01.sent} <= {"Login", "Ping", *LISTS}
            stage.pbx01.set(175, "101", 1)
            assert (await message(browser))["data"]["Status"] == "1"

    run(scene)


def test_fragments_are_joined_and_limits_hold(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            await browser.send(['{"Act', 'ion": ', '"Ping"}'])
            assert (await message(browser))["code"] == "bad_field"
            await browser.send("x" * 1_000_000)
            with pytest.raises(ConnectionClosed) as closed:
                await message(browser)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        async with stage.live(175) as browser:
            await message(browser)
            with pytest.raises(ConnectionClosed) as closed:
                await flood(browser)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429

    run(scene)


def test_a_user_has_only_so_many_connections(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        stage.write_config(per_user="2")
        await stage.service.reload()
        async with stage.live(175) as one, stage.live(175) as two:
            await message(one)
            await message(two)
            async with stage.live(175) as three:
                assert await refused(three) == ("too_many_connections", 4429)
            async with stage.live(176) as somebody:
                await message(somebody)
        async with stage.live(175) as again:
            await message(again)

    run(scene)


def test_a_slow_reader_is_bounded_and_gets_the_whole_picture_when_it_reads_again(run: Run) -> None:
    long_event = event("Newstate", Channel="PJSIP/t175-abcdefgh1234-00000001", Filler="x" * 100_000)

    async def scene(stage: Stage) -> None:
        feeds = stage.service._feeds  # noqa: SLF001 - nobody outside sees who was set aside
        async with stage.amiws(175, max_queue=1) as slow, stage.amiws(175) as quick:
            for browser in (slow, slow, quick, quick):
                await message(browser)
            slow.transport.pause_reading()
            feed = feeds._amiws[175]  # noqa: SLF001
            sent = 0
            while len(feed.readers) == len(feed.clients) and sent < 400:
                stage.pbx01.send(long_event)
                assert (await message(quick))["data"]["Event"] == "Newstate"
                sent += 1
            assert len(feed.readers) < len(feed.clients), "the slow reader was never set aside"
            (aside,) = feed.clients - feed.readers
            line = aside._transport.underlying_transport  # type: ignore[attr-defined] # noqa: SLF001
            assert not line.is_reading(), "its messages would make answers that nobody takes"
            stage.pbx01.send(long_event)
            await message(quick)
            slow.transport.resume_reading()
            received = 0
            while (await message(slow, 20))["data"]["Event"] == "Newstate":
                received += 1
            assert received == sent, "what came while it was set aside is lost, and nothing else"
            assert len(feed.readers) == len(feed.clients)
            assert line.is_reading()

    run(scene)


def test_pings_are_answered_with_what_they_carry_and_are_counted_as_messages(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            async with asyncio.timeout(5):
                for payload in (b"", b"x" * 125):
                    await (await browser.ping(payload))
            for number in range(100):
                await browser.ping(f"and more {number}")
            assert await refused(browser) == ("too_many_messages", 4429)

    run(scene)


def test_who_pings_and_never_reads_takes_no_memory(run: Run) -> None:
    """Nor needs a token for it: what is answered comes before any."""
    ping = b"\x89\xfd" + bytes(4) + b"x" * 125

    async def scene(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=stage.client_context(), limit=1024)
        writer.write(request("/live"))
        await reader.readuntil(b"\r\n\r\n")
        (client,) = stage.service.web._clients  # noqa: SLF001 - nobody outside sees what waits for it
        line = client._transport.underlying_transport  # type: ignore[union-attr] # noqa: SLF001
        longest = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                while stage.service.web.clients:
                    writer.write(ping * 5000)
                    # Not for its own queue to be empty: it may stay full once the proxy reads no more.
                    await asyncio.sleep(0.01)
                    longest = max(longest, line.get_write_buffer_size())
                    assert longest < 1_000_000
        writer.transport.abort()

    run(scene)


def test_the_panel_may_be_away_and_its_keys_change(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        newer = Signer()
        stage.panel.signers.append(newer)
        async with stage.connect(f"/live?token={newer.token(175)}") as browser:
            assert (await message(browser))["type"] == "snapshot"
        asked = stage.panel.requests
        for _ in range(5):
            async with stage.connect(f"/live?token={Signer().token(175)}") as browser:
                assert (await refused(browser))[0] == "token_invalid"
        assert stage.panel.requests <= asked + 1, "unknown keys must not become requests"
        await stage.panel.stop()
        async with stage.live(175) as browser:
            assert (await message(browser))["type"] == "snapshot"
        assert "keys" in (stage.folder / "keys.json").read_text()

    run(scene)


def test_who_leaves_while_keys_are_fetched_makes_no_later_question_an_old_answer(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr("centralino.cti.tokens.UNKNOWN_KEY_INTERVAL", 0.0)

    async def scene(stage: Stage) -> None:
        assert stage.service._gatekeeper is not None  # noqa: SLF001 - nobody outside leaves in this very moment
        gatekeeper = stage.service._gatekeeper[1]  # noqa: SLF001
        before = stage.panel.requests
        leaving = asyncio.create_task(gatekeeper.claims(Signer().token(175)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        await until(lambda: stage.panel.requests > before)
        await asyncio.sleep(0.3)
        stage.panel.signers.append(Signer())
        claims = await gatekeeper.claims(stage.panel.signers[-1].token(175))
        assert claims.tenant == 175

    run(scene)


def test_a_wrong_file_is_refused_at_reload_and_the_running_one_kept(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            stage.write_config(extra='\ncolour = "red"\n')
            with caplog.at_level(logging.ERROR):
                await stage.service.reload()
            assert "server.2.colour: unknown key" in caplog.text
            stage.write_config(origin="https://other.example")
            await stage.service.reload()
            stage.pbx01.set(175, "101", 1)
            assert (await message(browser))["type"] == "change"
            with pytest.raises(InvalidStatus):
                async with stage.live(175):
                    pass

    run(scene)


def test_a_pbx_with_a_foreign_certificate_is_not_told_the_secret(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pbx01.stop()
        stage.pbx01.sent.clear()
        # Genuine, but another guest's: the name must fit, too.
        stage.pbx01.tls = stage.authority.issue("pbx09").server_context()
        with caplog.at_level(logging.WARNING):
            await stage.pbx01.start()
            await until(lambda: "not one of the internal CA for pbx01" in caplog.text)
        assert stage.pbx01.sent == []

    run(scene)


def test_stopping_says_good_bye(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            stopping = asyncio.create_task(stage.service.web.drain(2))
            with pytest.raises(ConnectionClosed) as closed:
                await message(browser)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            await stopping

    run(scene)
