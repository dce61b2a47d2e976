"""Phones that are to be told: the agent's second loop against a real panel server. The NOTIFY is the lab's test."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from centralino.agent.check_sync import CheckSync
from centralino.agent.config import Panel as Settings
from centralino.agent.connection import PanelError
from centralino.agent.panel import PanelClient
from centralino.asterisk.cli import Asterisk, AsteriskError
from tests.contract.agent.server import Authority, Panel, reply, serve

TWO = (
    b'{"requests":[{"id":7,"endpoint":"t175-abcdefghijkl","reboot":false},'
    b'{"id":9,"endpoint":"t175-bcdefghijklm","reboot":true}]}'
)


class AskedOnPaper(Asterisk):
    """Remembers the commands; ``away`` answers none, and each of ``troubles`` comes in the place of an answer."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.commands: list[str] = []
        self.away = False
        self.troubles: list[Exception] = []

    def command(self, text: str, *, seconds: float = 0) -> str:
        del seconds
        if self.away:
            raise AsteriskError("Asterisk does not answer")
        if self.troubles:
            raise self.troubles.pop()
        self.commands.append(text)
        return ""


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    made = Panel(reply(200, b'{"requests":[]}'))
    server = serve(made, Authority(tmp_path / "pki"))
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def asterisk() -> AskedOnPaper:
    return AskedOnPaper()


@pytest.fixture
def loop(panel: Panel, asterisk: AskedOnPaper, tmp_path: Path) -> CheckSync:
    key = tmp_path / "pki"
    settings = Settings(url=panel.url, ca=key / "ca.crt", certificate=key / "web01.crt", key=key / "web01.key")
    return CheckSync(PanelClient(settings, wait=2), asterisk)


def test_each_phone_is_told_and_then_the_panel(panel: Panel, asterisk: AskedOnPaper, loop: CheckSync) -> None:
    panel.answer = reply(200, TWO)
    loop.step()
    assert asterisk.commands == [
        "pjsip send notify check-sync endpoint t175-abcdefghijkl",
        "pjsip send notify check-sync-reboot endpoint t175-bcdefghijklm",
    ]
    assert [(request.method, request.path) for request in panel.requests] == [
        ("GET", "/agent/v1/check-syncs?wait=2"),
        ("DELETE", "/agent/v1/check-syncs?upto=9"),
    ]


def test_nothing_to_tell_asks_asterisk_nothing(panel: Panel, asterisk: AskedOnPaper, loop: CheckSync) -> None:
    loop.step()
    assert asterisk.commands == []
    assert [request.method for request in panel.requests] == ["GET"]


def test_what_asterisk_did_not_take_stays_on_the_list(panel: Panel, asterisk: AskedOnPaper, loop: CheckSync) -> None:
    panel.answer = reply(200, TWO)
    asterisk.away = True
    with pytest.raises(AsteriskError):
        loop.step()
    assert [request.method for request in panel.requests] == ["GET"]


def test_a_guest_that_was_without_memory_tells_its_phones_later(
    panel: Panel, asterisk: AskedOnPaper, loop: CheckSync
) -> None:
    panel.answer = reply(200, TWO)
    asterisk.troubles = [BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))]
    loop.start()
    deadline = time.monotonic() + 10
    while not asterisk.commands and time.monotonic() < deadline:
        time.sleep(0.05)
    assert asterisk.commands


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (503, b""),
        (200, b"{"),
        (200, b'{"requests":[{"id":1,"endpoint":"t175-x; core stop now"}]}'),
        (200, b'{"requests":[{"id":1,"endpoint":"t175-abcdefghijkl\\n"}]}'),
    ],
)
def test_an_answer_that_is_not_to_be_trusted_does_nothing(
    panel: Panel, asterisk: AskedOnPaper, loop: CheckSync, status: int, body: bytes
) -> None:
    panel.answer = reply(status, body)
    with pytest.raises(PanelError):
        loop.step()
    assert asterisk.commands == []
