"""Connections that have not been answered yet: none is ended by us in silence."""

import asyncio
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.benchmarks.cti.cluster import running
from tests.contract.cti.conftest import Stage, message, until

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]
REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


async def knock(stage: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection through TLS' handshake, of which the proxy knows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=stage.client_context())
    await asyncio.sleep(0.1)
    return reader, writer


def test_who_asks_nothing_is_told_so_and_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("centralino.cti.web.doorway.REQUEST_TIMEOUT", 0.3)

    async def scene(stage: Stage) -> None:
        reader, writer = await knock(stage)
        async with asyncio.timeout(3):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        broken = stage.service.web.feeds.counts.broken
        await until(lambda: broken["timeout"] == 1)
        assert "before its request: reason=timeout address=127.0.0.1" in caplog.text
        assert b'broken_connections_total{reason="timeout"} 1' in stage.service.metrics()

    with caplog.at_level(logging.WARNING):
        run(scene)


def test_other_limits_cut_nobody_off_who_waits_to_be_accepted(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        def client() -> bytes:
            plain = socket.create_connection(("127.0.0.1", stage.port), timeout=5)
            with stage.client_context().wrap_socket(plain, server_hostname="127.0.0.1") as line:
                line.sendall(REQUEST)
                return line.recv(1000)

        stage.write_config(per_user="21")
        asked = asyncio.get_running_loop().run_in_executor(None, client)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop stands still: the client is in the listener's queue
        await stage.service.reload()
        assert stage.service.web.per_user == 21
        answer = await asked
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer

    run(scene)


def test_a_longer_message_is_taken_after_a_reload(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        text = stage.config_path.read_text().replace("[clients]\n", "[clients]\nmessage_bytes = 1000000\n")
        stage.config_path.write_text(text)
        await stage.service.reload()
        async with stage.live(175) as browser:
            await message(browser)
            await browser.send(" " * 999_999)
            assert (await message(browser))["code"] == "bad_json"

    run(scene)


def test_who_leaves_without_a_word_is_counted_not_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        _, writer = await knock(stage)
        writer.close()
        broken = stage.service.web.feeds.counts.broken
        await until(lambda: broken.total() == 1)
        assert "before its request" not in caplog.text

    with caplog.at_level(logging.WARNING):
        run(scene)


def test_requests_that_came_while_the_proxy_was_stopped_are_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        hurry = "import centralino.cti.web.doorway as doorway; doorway.REQUEST_TIMEOUT = 3.0"
        async with running(tmp_path, tls=True, before=hurry) as cluster:
            context = ssl.create_default_context(cafile=tmp_path / "test-CA.crt")
            lines = [await asyncio.open_connection("127.0.0.1", cluster.port, ssl=context) for _ in range(10)]
            await asyncio.sleep(0.2)
            cluster.proxy.send_signal(signal.SIGSTOP)
            try:
                for _, writer in lines:
                    writer.write(REQUEST.replace(b"health", b"nowhere"))
                await asyncio.sleep(7)
            finally:
                cluster.proxy.send_signal(signal.SIGCONT)
            async with asyncio.timeout(5):
                answers = await asyncio.gather(*(reader.read() for reader, _ in lines))
            for _, writer in lines:
                writer.close()
            assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 404 Not Found"}

    uvloop.run(scene())
