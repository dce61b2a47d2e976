"""Actions as bytes: nothing in a value can become a header."""

import pytest

from centralino.cti.ami.actions import ActionError, encode


def test_fields_keep_their_order_and_sequences_repeat() -> None:
    assert encode("Originate", {"Variable": ["A=1", "B=é"], "Z": "1"}) == (
        b"Action: Originate\r\nVariable: A=1\r\nVariable: B=\xc3\xa9\r\nZ: 1\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Ping\r\nAction: Logoff", {}),
        ("Ping", {"X": "1\r\nSecret: 2"}),
        ("Ping", {"X": "1\n"}),
        ("Ping", {"X": ["fine", "1\r"]}),
        ("Ping", {"X\r\nY": "1"}),
        ("Ping", {"X: 1": "1"}),
        ("Ping", {"": "1"}),
        ("Ping", {"X": "\0"}),
    ],
)
def test_line_breaks_are_refused(name: str, fields: dict[str, str | list[str]]) -> None:
    with pytest.raises(ActionError):
        encode(name, fields)
