"""Each answer goes to who asked, whatever numbers the PBXes are asked under."""

# ruff: noqa: SLF001 - what the desk knows is put together by hand

import asyncio
import json
import ssl
from typing import Any

from centralino.contract.tokens import Claims
from centralino.cti.actions.desk import Desk
from centralino.cti.ami.connection import Connection
from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.config import Server
from centralino.cti.state import Hint


class Browser:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def reply(self, frame: bytes) -> None:
        self.told.append(json.loads(frame[frame.index(b"{") :]))


def claims(tenant: int) -> Claims:
    return Claims(sub="anna", tenant=tenant, extension="101", role="user", iat=1, exp=2, jti="12345678")


def test_an_answer_is_for_who_asked_the_pbx_that_gives_it() -> None:
    boards = Boards()
    for server, tenant in (("pbx01", 175), ("pbx02", 176)):
        boards.extensions.apply(server, Hint(tenant, "101", "free", ()), 1)

    async def scene() -> tuple[Browser, Browser, int]:
        desk = Desk(boards, lambda *_: "centralino-7", {"pbx01": 1, "pbx02": 2})
        anna, bert = Browser(), Browser()
        wish = {"type": "action", "action": "originate", "number": "102", "id": "x"}
        desk.live(anna, claims(175), wish)
        desk.live(bert, claims(176), wish)
        refused = {"Response": "Error", "ActionID": "centralino-7", "Message": "no"}
        desk.answered("pbx03", Message(Kind.RESPONSE, "Error", refused))
        assert anna.told == bert.told == []
        desk.answered("pbx02", Message(Kind.RESPONSE, "Error", refused))
        desk.answered("pbx01", Message(Kind.RESPONSE, "Success", refused | {"Response": "Success"}))
        desk._unanswered(("pbx01", "centralino-7"))
        return anna, bert, len(desk._questions)

    anna, bert, waiting = asyncio.run(scene())
    assert [told["type"] for told in anna.told] == ["result"]
    assert [told["code"] for told in bert.told] == ["failed"]
    assert waiting == 0


def test_no_two_connections_ask_under_the_same_number() -> None:
    """Also one that is made anew to the same PBX, for its address or its secret has changed."""
    server = Server.model_validate({"name": "pbx01", "host": "127.0.0.1", "username": "cti", "secret": "s" * 16})
    nobody: Any = None
    connections = [Connection(server, ssl.create_default_context(), nobody) for _ in range(2)]
    asked = [connection.send("Ping") for connection in connections for _ in range(3)]
    assert len(set(asked)) == len(asked)
