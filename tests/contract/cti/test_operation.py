"""What operators rely on: metrics, pings, and a reload that cannot break what runs."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.benchmarks.cti.fake_ami import event
from tests.contract.cti.conftest import Stage, message, until
from tests.contract.cti.test_admission import http
from tests.ports import free_port

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


async def plain(port: int, path: str) -> tuple[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head.split("\r\n")[0], body


async def figures(port: int) -> dict[str, float]:
    status, page = await plain(port, "/metrics")
    assert status == "HTTP/1.1 200 OK"
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    return {name.removeprefix("centralino_cti_"): float(value) for name, _, value in lines}


def test_metrics_tell_what_happened(run: Run) -> None:
    port = free_port()

    async def scene(stage: Stage) -> None:
        assert (await http(stage, "/metrics"))[0] == "HTTP/1.1 404 Not Found", "browsers are not told"
        stage.write_config(extra=f'\n[metrics]\naddress = "127.0.0.1"\nport = {port}\n')
        await stage.service.reload()
        async with stage.live(175) as browser, stage.amiws(176) as old:
            await message(browser)
            await message(old)
            await browser.send('{"type": "action", "action": "listen", "channel": "x"}')
            await message(browser)
            before = await figures(port)
            stage.pbx01.set(175, "101", 1)
            await message(browser)
            stage.pbx01.send(event("Shutdown"))
            await stage.pbx02.stop()
            await until(lambda: stage.service.health()["status"] == "degraded")
            after = await figures(port)
        assert before['clients{format="live"}'] == before['clients{format="amiws"}'] == 1
        assert before['ami_up{pbx="pbx02"}'] == 1
        assert after['ami_up{pbx="pbx02"}'] == 0
        assert after['ami_messages_total{pbx="pbx01"}'] >= before['ami_messages_total{pbx="pbx01"}'] + 2
        assert after["writes_total"] == before["writes_total"] + 1
        assert after["written_bytes_total"] > before["written_bytes_total"]
        assert 0 < after["longest_lag_seconds"] < 1
        assert after['actions_total{result="not_allowed"}'] == 1
        assert after["token_keys"] == 1
        assert (await plain(port, "/health"))[0] == "HTTP/1.1 503 Service Unavailable"
        assert (await plain(port, "/live"))[0] == "HTTP/1.1 404 Not Found"
        stage.write_config()
        await stage.service.reload()
        with pytest.raises(ConnectionRefusedError):
            await plain(port, "/metrics")

    run(scene)


def test_a_client_that_answers_no_ping_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centralino.cti.web.server.PING_INTERVAL", 0.3)

    async def scene(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=stage.client_context())
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(
            f"GET /live?token={stage.signer.token(175)} HTTP/1.1\r\nHost: x\r\n{upgrade}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        async with stage.live(175) as lively:
            await message(lively)
            async with asyncio.timeout(5):
                said = await reader.read()
            assert b"\x89\x00" in said, "it was asked"
            writer.close()
            for _ in range(3):
                assert (await message(lively, heartbeats=True))["type"] == "heartbeat"

    run(scene)


def test_a_reload_that_can_listen_nowhere_is_made_good_by_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else takes the former port just when it is free."""

    async def scene(stage: Stage) -> None:
        web, text = stage.service.web, stage.config_path.read_text()

        async def in_use(*_: object) -> None:
            web.stop_listening()
            raise OSError(errno.EADDRINUSE, "port 1 (in use)")

        with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
            patched.setattr(web, "listen", in_use)
            stage.config_path.write_text(text.replace(f"port = {stage.port}\n", f"port = {free_port()}\n"))
            await stage.service.reload()
            assert "free the port and reload again" in caplog.text
            with pytest.raises(ConnectionRefusedError):
                async with stage.live(175):
                    pass
        stage.config_path.write_text(text)
        await stage.service.reload()
        async with stage.live(175) as browser:
            assert (await message(browser))["type"] == "snapshot"

    run(scene)


def test_a_reload_that_cannot_listen_keeps_what_runs(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            async with stage.live(175) as browser:
                await message(browser)
                stage.write_config()
                text = stage.config_path.read_text().replace(f"port = {stage.port}\n", f"port = {taken}\n")
                stage.config_path.write_text(text)
                with caplog.at_level(logging.ERROR):
                    await stage.service.reload()
                assert f"cannot listen on port {taken}" in caplog.text
                stage.pbx01.set(175, "101", 1)
                assert (await message(browser))["type"] == "change"
                async with stage.live(175) as second:
                    assert (await message(second))["type"] == "snapshot"

    run(scene)
