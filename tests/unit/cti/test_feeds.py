"""Feeds: numbered changes, one building for all, and the whole picture where a change cannot say it."""

import asyncio
import json
import time
from typing import Any

import pytest

from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.state import Hint
from centralino.cti.web import amiws, frames
from centralino.cti.web.feeds import Feeds


class Browser:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    @property
    def last(self) -> Any:
        size = self.written[-1][1]
        return json.loads(self.written[-1][2 if size < 126 else 4 :])


def apply(feeds: Feeds, boards: Boards, *hints: Hint) -> None:
    for hint in hints:
        if boards.extensions.apply("pbx01", hint, 1000):
            feeds.changed(hint.tenant, "extensions", {hint.number})


def test_changes_are_numbered_and_built_once() -> None:
    async def scene() -> None:
        boards = Boards()
        feeds = Feeds(boards, {})
        one, two, other = Browser(), Browser(), Browser()
        apply(feeds, boards, Hint(175, "101", "free"))
        for browser in (one, two):
            feeds.join(175, "live", browser)
        feeds.join(176, "live", other)
        first = one.last["seq"]
        assert one.last == {
            "type": "snapshot",
            "seq": first,
            "connected": True,
            "extensions": {"101": {"state": "free", "since": 1000}},
            "calls": {},
            "queues": {},
            "parked": {},
            "conferences": {},
        }
        apply(feeds, boards, Hint(175, "101", "busy"), Hint(175, "102", "free"))
        feeds.settle()
        assert one.last == {
            "type": "change",
            "seq": first + 1,
            "extensions": {"101": {"state": "busy", "since": 1000}, "102": {"state": "free", "since": 1000}},
        }
        assert one.written[-1] is two.written[-1], "one building for all"
        assert len(other.written) == 1

    asyncio.run(scene())


def test_a_vanished_extension_brings_the_whole_picture() -> None:
    async def scene() -> None:
        boards = Boards()
        feeds = Feeds(boards, {})
        browser = Browser()
        apply(feeds, boards, Hint(175, "101", "free"), Hint(175, "102", "free"))
        feeds.join(175, "live", browser)
        first = browser.last["seq"]
        apply(feeds, boards, Hint(175, "102", None))
        feeds.settle()
        assert browser.last["type"] == "snapshot"
        assert browser.last["seq"] == first + 1
        assert set(browser.last["extensions"]) == {"101"}

    asyncio.run(scene())


def test_who_comes_between_an_event_and_its_writing_misses_nothing() -> None:
    async def scene() -> None:
        boards = Boards()
        feeds = Feeds(boards, {})
        first, late = Browser(), Browser()
        feeds.join(175, "live", first)
        apply(feeds, boards, Hint(175, "101", "busy"))
        feeds.join(175, "live", late)
        before = late.last["seq"]
        assert late.last["seq"] == first.last["seq"]
        assert late.last["extensions"]["101"]["state"] == "busy"
        feeds.settle()
        assert late.last["seq"] == first.last["seq"] == before + 1

    asyncio.run(scene())


def test_a_feed_ends_with_its_last_client() -> None:
    async def scene() -> None:
        feeds = Feeds(Boards(), {"pbx01": 1})
        browser = Browser()
        feed = feeds.join(175, "amiws", browser)
        assert feeds.wants_events
        feeds.event(175, "pbx01", Message(Kind.EVENT, "Hold", {"Event": "Hold"}))
        feeds.leave(feed, browser)
        feeds.settle()
        assert not feeds.wants_events
        assert browser.written == [b""]

    asyncio.run(scene())


def test_a_feed_outlives_its_last_client_by_the_whole_time_however_often_it_came_and_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("centralino.cti.web.feeds.LINGER", 0.4)

    async def scene() -> None:
        boards = Boards()
        feeds = Feeds(boards, {})
        browser = Browser()
        for _ in range(2):
            feeds.leave(feeds.join(175, "live", browser), browser)
            await asyncio.sleep(0.3)
        seen = browser.last["seq"]
        feeds.join(175, "live", browser, since=seen)
        assert browser.last["type"] == "heartbeat", "nothing was missed"
        other = Browser()
        feeds.leave(feeds.join(175, "live", other), other)
        await asyncio.sleep(0.6)
        feeds.join(175, "live", other, since=seen)
        assert other.last["type"] == "heartbeat", "there was one client all the time"

    asyncio.run(scene())


def test_under_load_an_event_waits_for_others_and_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    # A hundred times as slow as it is, so that a busy machine can keep the time.
    monkeypatch.setattr("centralino.cti.web.feeds.LONGEST_GATHERING", 0.2)

    class Crowd(Browser):
        def write(self, data: bytes) -> None:
            super().write(data)
            time.sleep(0.05)

    def frame(name: str) -> bytes:
        return frames.text(amiws.encode(Message(Kind.EVENT, name, {"Event": name}), 1, "pbx01"))

    async def scene() -> None:
        feeds = Feeds(Boards(), {"pbx01": 1})
        browser = Crowd()
        feeds.join(175, "amiws", browser)

        def event(name: str) -> None:
            feeds.event(175, "pbx01", Message(Kind.EVENT, name, {"Event": name}))
            feeds.settle()

        event("Hold")
        assert browser.written[1:] == [frame("Hold")], "while little happens it is written at once"
        await asyncio.sleep(0.1)
        event("Unhold")
        await asyncio.sleep(0.15)
        event("Hangup")
        assert browser.written[2:] == []
        await asyncio.sleep(0.1)
        assert browser.written[2:] == [frame("Unhold") + frame("Hangup")]
        await asyncio.sleep(0.3)
        event("Newstate")
        assert browser.written[3:] == [frame("Newstate")]

    asyncio.run(scene())


def test_frames_of_every_length() -> None:
    for size, head in ((125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65535, b"\x81\x7e\xff\xff")):
        assert frames.text(b"x" * size) == head + b"x" * size
    assert frames.text(b"x" * 65536)[:10] == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
