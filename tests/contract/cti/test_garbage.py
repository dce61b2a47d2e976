"""Whatever bytes come through TLS, as a request or as frames: the proxy goes on, and others notice nothing."""

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from centralino.cti.logs import tells_of_us
from tests.contract.cti.conftest import ORIGIN, Stage, message, until

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]
ROUNDS = 60
"""Connections of each kind, some three seconds of them."""


def request(path: str) -> bytes:
    """Return what asks for the upgrade (RFC 6455 §4.1)."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {ORIGIN}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(chance: random.Random) -> bytes:
    """Return a frame, most of whose parts may be anything: bits, opcode, length, mask, text."""
    payload = chance.randbytes(chance.choice((0, 1, 60, 200, 4000)))
    if chance.random() < 0.3:
        payload = b'{"type": "action", "action": "hangup", "channel": "' + payload + b'"}'
    size = len(payload) if chance.random() < 0.8 else chance.choice((0, 125, 126, 65535, 2**31, 2**63 - 1, 2**64 - 1))
    masked = 0x80 if chance.random() < 0.9 else 0
    head = chance.randrange(256) if chance.random() < 0.5 else 0x80 | chance.choice((0, 1, 2, 8, 9, 10))
    if size < 126:
        length = bytes((masked | size,))
    elif size < 65536:
        length = bytes((masked | 126,)) + struct.pack(">H", size)
    else:
        length = bytes((masked | 127,)) + struct.pack(">Q", size)
    return bytes((head,)) + length + (chance.randbytes(4) if masked else b"") + payload


def spoilt(chance: random.Random, good: bytes) -> bytes:
    """Return a request of which some bytes are others, or missing."""
    data = bytearray(good)
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(1, len(data) + 1)]) + b"\r\n\r\n"


async def speak(stage: Stage, asked: bytes, frames: bytes = b"") -> bytes:
    """Send a request and frames over a connection of their own and leave; return what was answered to the frames."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=stage.client_context())
    answer = b""
    with suppress(TimeoutError, ConnectionError):
        writer.write(asked)
        if frames:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.write(frames)
        async with asyncio.timeout(0.05):
            while more := await reader.read(65536):
                answer += more
    writer.transport.abort()
    return answer


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of us, and not of the frames."""
    return [record.getMessage() for record in caplog.records if tells_of_us(record)]


@pytest.mark.parametrize("path", ["/live", "/"])
def test_frames_of_anything(run: Run, path: str, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(f"frames {path}")  # noqa: S311 - the same ones each time

    async def scene(stage: Stage) -> None:
        stage.write_config(per_user="1000")
        await stage.service.reload()
        async with stage.live(175) as well:
            await message(well)
            answers = b""
            for _ in range(ROUNDS):
                token = stage.signer.token(175, sub="mallory") if chance.random() < 0.7 else chance.randbytes(9).hex()
                frames = [frame(chance) for _ in range(chance.randrange(1, 12))]
                answers += await speak(stage, request(f"{path}?token={token}"), b"".join(frames))
            for code in (b"bad_json", b"binary", b"token_invalid"):
                assert code in answers, "they were not even looked at"
            stage.pbx01.set(175, "101", 8)
            assert (await message(well))["extensions"]["101"]["state"] == "ringing"
            assert {sent["Action"] for sent in stage.pbx01.sent} & {"Hangup", "Originate"} == set()
            await until(lambda: stage.service.web.clients == 1)

    with caplog.at_level(logging.ERROR):
        run(scene)
    assert faults(caplog) == []


def test_requests_of_anything(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random("requests")  # noqa: S311 - the same ones each time

    async def scene(stage: Stage) -> None:
        async with stage.live(175) as well:
            await message(well)
            for _ in range(ROUNDS):
                good = request(f"/live?token={stage.signer.token(175, sub='mallory')}")
                await speak(stage, spoilt(chance, good) if chance.random() < 0.8 else chance.randbytes(500))
            stage.pbx01.set(175, "101", 8)
            assert (await message(well))["extensions"]["101"]["state"] == "ringing"
            await until(lambda: stage.service.web.clients == 1)

    with caplog.at_level(logging.ERROR):
        run(scene)
    assert faults(caplog) == []
