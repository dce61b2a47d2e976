"""One AMI frame as a value: what kind of message it is, and its headers."""

from enum import IntEnum
from typing import NamedTuple

from centralino.cti.ami import queue_text

_OLD_OUTPUT = "Response: Follows\r\n"
_OLD_OUTPUT_END = "--END COMMAND--"
_OLD_OUTPUT_HEADERS = ("Response", "Privilege", "ActionID", "Message")


class Kind(IntEnum):
    """What a frame is; the numbers are amiws' ``type``."""

    UNKNOWN = 0
    PROMPT = 1
    ACTION = 2
    EVENT = 3
    RESPONSE = 4
    OUTPUT = 5
    QUEUE = 6


_KINDS = {"Event": Kind.EVENT, "Response": Kind.RESPONSE, "Action": Kind.ACTION}


class Message(NamedTuple):
    """A parsed frame.

    ``headers`` holds each header once, the last of equal names winning; ``repeated`` holds all in order where a name
    comes twice, else it is None. ``name`` is the value of the header that told the kind: the event's name, say.
    """

    kind: Kind
    name: str
    headers: dict[str, str]
    repeated: list[tuple[str, str]] | None = None
    numbers: dict[str, str | int] | None = None
    """A queue in text form (``Kind.QUEUE``): amiws gives its numbers as numbers."""


def parse(frame: bytes) -> Message:
    """Return the message in a frame; bytes that are no UTF-8 become U+FFFD, lines without a colon are skipped."""
    text = frame.decode("utf-8", "replace")
    if text.startswith(_OLD_OUTPUT):
        return _old_output(text)
    headers: dict[str, str] = {}
    count = 0
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip(" \t")] = value.lstrip(" \t")
            count += 1
    # Nearly every frame is told by its first header; the rest is for those that begin otherwise.
    for header, value in headers.items():
        kind = _KINDS.get(header)
        if kind is not None:
            repeated = _pairs(text) if count != len(headers) else None
            return Message(kind, value, headers, repeated)
    queue = queue_text.parse(text)
    if queue is not None:
        return Message(Kind.QUEUE, str(queue["QueueName"]), {}, None, queue)
    return Message(Kind.UNKNOWN, "", headers)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            pairs.append((name.strip(" \t"), value.lstrip(" \t")))
    return pairs


def _old_output(text: str) -> Message:
    """Parse a command's answer before Asterisk 14: some headers, then free text up to ``--END COMMAND--``."""
    headers: dict[str, str] = {}
    rest = text
    while rest:
        line, _, behind = rest.partition("\r\n")
        name, colon, value = line.partition(":")
        if not colon or name not in _OLD_OUTPUT_HEADERS:
            break
        headers[name] = value.lstrip(" \t")
        rest = behind
    output = rest.partition(_OLD_OUTPUT_END)[0]
    headers["Output"] = output.removeprefix("Output:").lstrip(" \t") if output.startswith("Output:") else output
    return Message(Kind.OUTPUT, headers["Response"], headers)
