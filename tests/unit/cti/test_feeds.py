"""Feeds: numbered changes, one building for all, and the whole picture where a change cannot say it."""

import asyncio
import json
from typing import Any

from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.state import Hint
from centralino.cti.web import frames
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


def test_frames_of_every_length() -> None:
    for size, head in ((125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65535, b"\x81\x7e\xff\xff")):
        assert frames.text(b"x" * size) == head + b"x" * size
    assert frames.text(b"x" * 65536)[:10] == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
