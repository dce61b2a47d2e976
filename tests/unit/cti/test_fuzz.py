"""Whatever a browser sends: one answer, nothing to Asterisk that the rules did not build, and no exception."""

# ruff: noqa: SLF001 - a client is put together by hand, as if it had been let in

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralino.contract.tokens import Claims
from centralino.cti.actions import desk as desks
from centralino.cti.actions.phrases import PHRASES
from centralino.cti.actions.rules import RULES
from centralino.cti.ami.actions import encode
from centralino.cti.boards import Boards
from centralino.cti.web.client import Client
from tests.unit.cti.test_rules import ANNA, facts

WORDS = st.sampled_from(
    [
        "Action", "action", "ActionID", "AMIServerID", "amiserverid", "type", "id", "Channel", "channel", "number",
        "Exten", "Context", "Priority", "queue", "paused", "extension", "Variable", "", "token", "\x00", "A: b\r\nC",
        *RULES, *PHRASES, ANNA, "101", "t175-internal", "1", "é" * 100, "x" * 5000,
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
DOCUMENTS = st.one_of(
    st.dictionaries(WORDS, JSON, max_size=6),
    st.fixed_dictionaries(
        {"Action": st.sampled_from(list(RULES))}, optional={"Channel": JSON, "Exten": JSON, "Queue": JSON}
    ),
    st.fixed_dictionaries(
        {"type": st.just("action"), "action": st.sampled_from(list(PHRASES))},
        optional={"channel": JSON, "number": JSON, "queue": JSON, "paused": JSON, "id": JSON},
    ),
    JSON,
)
MESSAGES = st.one_of(
    st.binary(max_size=200),
    DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    st.just(b"[" * 8000),
    st.just(b'{"Action": "\\ud800"}'),
    st.just(b'{"a":' * 2000 + b"1" + b"}" * 2000),
)


CLAIMS = Claims(sub="anna", tenant=175, extension="101", role="supervisor", iat=1, exp=2, jti="12345678")


@pytest.mark.parametrize("form", ["live", "amiws"])
@settings(max_examples=200, deadline=None)
@given(message=MESSAGES)
def test_any_message_gets_one_answer(form: Any, message: bytes) -> None:
    sent: list[bytes] = []
    written: list[bytes] = []

    def send(_: str, action: str, fields: Any) -> str:
        sent.append(encode(action, fields))
        return "centralino-1"

    async def scene() -> None:
        desk: Any = desks.Desk(Boards(), send, {"pbx01": 1})
        desk._facts = facts()
        house: Any = SimpleNamespace(desk=desk)
        client: Any = Client(house, form, None)
        client._send = written.append
        client._user = "175/anna"
        client._claims = CLAIMS
        client._message(message)

    asyncio.run(scene())
    assert len(sent) + len(written) == 1
    for frame in sent:
        assert frame.count(b"\r\n\r\n") == 1
        assert b"t176" not in frame
    for frame in written:
        answer = json.loads(frame[frame.index(b"{") :])
        assert answer["type"] in {"error", 4}
