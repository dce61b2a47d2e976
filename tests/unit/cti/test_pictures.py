"""A list that is under way while things change: what is taken at its end is the truth."""

import asyncio
from itertools import count
from typing import Any

import pytest

from centralino.cti import pictures
from centralino.cti.ami.message import Kind, Message
from centralino.cti.pictures import LISTS, Picture


class Line:
    """Notes what is asked; its answers are written by hand."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}
        self._serials = count()

    def send(self, action: str, _: Any) -> str:
        self.asked[action] = f"centralino-{next(self._serials)}"
        return self.asked[action]


def event(name: str, **headers: str) -> Message:
    return Message(Kind.EVENT, name, headers)


def test_what_happens_meanwhile_counts_last() -> None:
    async def scene() -> dict[str, list[Message]]:
        line, taken = Line(), dict[str, list[Message]]()
        picture = Picture(line, taken.__setitem__)  # type: ignore[arg-type] # all that it needs of a connection
        picture.start()
        assert tuple(line.asked) == LISTS
        channels = {"ActionID": line.asked["CoreShowChannels"]}
        for unique in "12":
            picture.answer(event("CoreShowChannel", **channels, Uniqueid=unique, BridgeId="b"))
        picture.event(event("BridgeLeave", Uniqueid="1", BridgeUniqueid="b"))
        picture.event(event("BridgeLeave", Uniqueid="2", BridgeUniqueid="b"))
        picture.event(event("Hangup", Uniqueid="2"))
        assert taken == {}
        picture.answer(event("CoreShowChannelsComplete", **channels, EventList="Complete"))
        picture.stop()
        return taken

    (messages,) = asyncio.run(scene()).values()
    assert [(m.name, m.headers["Uniqueid"]) for m in messages] == [("CoreShowChannel", "1"), ("BridgeLeave", "1")]


def complete(picture: Picture, line: Line, *but: str) -> None:
    """Answer the lists, all or but some, as empty ones."""
    for action in LISTS:
        if action not in but:
            picture.answer(event(f"{action}Complete", ActionID=line.asked[action], EventList="Complete"))


async def asked_again(line: Line, within: float) -> bool:
    before = dict(line.asked)
    async with asyncio.timeout(5):
        for _ in range(round(within / 0.01)):
            await asyncio.sleep(0.01)
            if line.asked != before:
                return True
    return False


def test_a_wish_while_lists_are_under_way_is_met_when_they_are_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PBX that starts: FullyBooted comes when its hints have been listed already, while there were none."""
    monkeypatch.setattr(pictures, "DEBOUNCE", 0.01)
    monkeypatch.setattr(pictures, "SPACING", 0.2)

    async def scene() -> None:
        line = Line()
        picture = Picture(line, lambda *_: None)  # type: ignore[arg-type] # as above
        picture.start()
        complete(picture, line, "ParkedCalls")
        picture.want()
        picture.answer(event("ParkedCallsComplete", ActionID=line.asked["ParkedCalls"], EventList="Complete"))
        assert await asked_again(line, 1.0)
        complete(picture, line)
        assert not await asked_again(line, 0.5), "one wish makes one question"
        picture.stop()

    asyncio.run(scene())


def test_wishes_do_not_throw_away_what_a_slow_pbx_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "DEBOUNCE", 0.01)
    monkeypatch.setattr(pictures, "SPACING", 0.05)

    async def scene() -> list[str]:
        line, taken = Line(), dict[str, list[Message]]()
        picture = Picture(line, taken.__setitem__)  # type: ignore[arg-type] # as above
        picture.start()
        for _ in range(4):
            picture.want()
            assert not await asked_again(line, 0.1)
        complete(picture, line)
        picture.stop()
        return list(taken)

    assert len(asyncio.run(scene())) == len(LISTS)
