"""A list that is under way while things change: what is taken at its end is the truth."""

import asyncio
from typing import Any

from centralino.cti.ami.message import Kind, Message
from centralino.cti.pictures import LISTS, Picture


class Line:
    """Notes what is asked; its answers are written by hand."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}

    def send(self, action: str, _: Any) -> str:
        self.asked[action] = f"centralino-{len(self.asked)}"
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
