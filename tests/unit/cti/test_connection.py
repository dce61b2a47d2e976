"""A connection that does not come about: why is said in a sentence, and it is tried again."""

import asyncio
import ssl
from typing import Any

import pytest

from centralino.cti.ami import connection
from centralino.cti.ami.connection import Connection
from centralino.cti.config import Server


@pytest.mark.parametrize("host", ["pbx01..example", "x" * 64 + ".example"])
def test_a_name_that_can_be_none_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    """Its task ended instead, without a word, and the PBX stayed away until the proxy was started anew."""
    monkeypatch.setattr(connection, "FIRST_DELAY", 0.01)
    server = Server.model_validate({"name": "pbx01", "host": host, "username": "cti", "secret": "s" * 16})
    nobody: Any = None

    async def scene() -> None:
        task = asyncio.create_task(Connection(server, ssl.create_default_context(), nobody).run())
        await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()

    asyncio.run(scene())
    assert f"pbx pbx01: {host}:5039 cannot be reached (this is no name" in caplog.text
