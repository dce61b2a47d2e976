"""The waits between tries, and the messages to systemd."""

import os
import socket
from pathlib import Path

import pytest

from centralino.agent.backoff import Backoff
from centralino.agent.notify import alive, notify


def test_waits_grow_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(first=1, most=8)
    waits = [backoff.seconds() for _ in range(8)]
    for wait, limit in zip(waits, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert limit / 2 <= wait <= limit
    backoff.reset()
    assert backoff.seconds() <= 1


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(2)
        monkeypatch.setitem(os.environ, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        alive("runs")
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1\nSTATUS=runs"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    alive("runs")
