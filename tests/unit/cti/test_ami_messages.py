"""AMI bytes to messages, and to amiws' JSON: the vectors hold what amiws itself answered."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralino.cti.ami.message import Kind, Message, _pairs, _plain, parse
from centralino.cti.ami.splitter import Splitter
from centralino.cti.web import amiws

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("data").joinpath("amiws.json").read_text())

BETTER = {
    # amiws writes wrong escapes for some control characters ...
    "event_control_chars": [
        {"Event": "X", "Tab": "a\tb", "Bell": "a\x07b", "Esc": "\x1b[0m", "Del": "a\x7fb", "LF": "a\nb"}
    ],
    # ... cuts its JSON at bytes that are no UTF-8 ...
    "event_latin1_invalid_utf8": [{"Event": "X", "Name": "José"[:3] + "\ufffd"}],
    # ... and drops whole frames for one header, or for their first.
    "event_key_paren": [{"Event": "X", "ChanVariable(SIP/100)": "a=b", "Z": "1"}],
    "event_key_space": [{"Event": "X", "Bad Key": "1", "Z": "1"}],
    "event_key_percent": [{"Event": "X", "a%b": "1", "Pct": "100%s %d"}],
    "event_header_without_colon": [{"Event": "X", "Z": "1"}],
    "event_bare_cr": [{"Event": "X", "A": "a\rb", "Z": "1"}],
    "event_not_first": [{"Privilege": "call,all", "Event": "X", "Z": "1"}],
    "response_other_value": [{"Response": "Pong", "ActionID": "6"}],
}
"""Where amiws is wrong, what is right."""


def raw(text: dict[str, str]) -> bytes:
    return text["text"].encode() if "text" in text else b64decode(text["base64"])


def messages(data: bytes) -> list[Message]:
    return [parse(frame) for frame in Splitter().feed(data)]


@pytest.mark.parametrize("name", VECTORS)
def test_each_frame_becomes_what_amiws_makes_of_it(name: str) -> None:
    parsed = messages(raw(VECTORS[name]["ami"]))
    documents = [json.loads(amiws.encode(m, 1, "ast01", tls=False)) for m in parsed if m.kind > Kind.PROMPT]
    if name in BETTER:
        assert [document["data"] for document in documents] == BETTER[name]
    else:
        assert documents == [json.loads(raw(answer)) for answer in VECTORS[name]["ws"]]


def test_repeated_headers_stay_repeated_keys() -> None:
    (message,) = messages(b"Event: VarSet\r\nVariable: A=1\r\nVariable: B=2\r\n\r\n")
    pairs = json.loads(amiws.encode(message, 1, "ast01"), object_pairs_hook=list)
    assert ("data", [("Event", "VarSet"), ("Variable", "A=1"), ("Variable", "B=2")]) in pairs


def test_the_greeting_is_not_part_of_the_first_answer() -> None:
    (message,) = messages(b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: 1\r\n\r\n")
    assert message[:3] == (Kind.RESPONSE, "Success", {"Response": "Success", "ActionID": "1"})


def test_old_command_output_may_hold_empty_lines() -> None:
    data = b"Response: Follows\r\nPrivilege: Command\r\nfirst\n\r\n\r\nsecond\n--END COMMAND--\r\n\r\nEvent: A\r\n\r\n"
    output, event = messages(data)
    assert output.kind is Kind.OUTPUT
    assert output.headers["Output"] == "first\n\r\n\r\nsecond\n"
    assert event.name == "A"


def test_an_oversized_frame_is_skipped_and_the_next_is_read() -> None:
    splitter = Splitter(max_frame=1000)
    for _ in range(50):
        assert splitter.feed(b"Event: Long\r\nX: " + b"x" * 100) == []
    assert splitter.feed(b"\r\n\r\nEvent: A\r\n\r\n") == [b"Event: A"]
    assert splitter.dropped == 1


ODD_BYTES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"\r\n\r\n",
                b"\r\n",
                b"\r",
                b"\n",
                b"\x00",
                b"Event: A\r\n",
                b"Response: Follows\r\n",
                b"--END COMMAND--\r\n\r\n",
            ]
        ),
    ),
    max_size=30,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=ODD_BYTES, cuts=st.lists(st.integers(1, 20), max_size=40))
def test_any_bytes_in_any_pieces_give_the_same_frames_and_valid_json(data: bytes, cuts: list[int]) -> None:
    whole = Splitter().feed(data)
    pieces, splitter, start = [], Splitter(), 0
    for cut in [*cuts, len(data)]:
        pieces += splitter.feed(data[start : start + cut])
        start += cut
    assert pieces == whole
    for frame in whole:
        json.loads(amiws.encode(parse(frame), 1, "ast01").decode())


LINES = st.lists(st.text(st.sampled_from("Ab: \t\r\0é"), max_size=8), max_size=6)


@settings(max_examples=1000, deadline=None)
@given(lines=LINES)
def test_the_quick_way_to_read_headers_reads_the_same(lines: list[str]) -> None:
    lines = "\r\n".join(lines).split("\r\n")
    quick = _plain("\r\n".join(lines), lines)
    assert quick is None or list(quick.items()) == list(dict(_pairs(lines)).items())


@settings(max_examples=100, deadline=None)
@given(data=ODD_BYTES)
def test_a_frame_after_any_ended_bytes_is_read(data: bytes) -> None:
    splitter = Splitter()
    splitter.feed(data + b"\r\n\r\n--END COMMAND--\r\n\r\n")
    assert splitter.feed(b"Event: Last\r\n\r\n") == [b"Event: Last"]
