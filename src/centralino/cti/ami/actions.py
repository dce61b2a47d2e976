"""Actions as bytes for Asterisk; a value can never add a header."""

from collections.abc import Mapping, Sequence


class ActionError(Exception):
    """An action that cannot be sent; the text names the field."""


def encode(name: str, fields: Mapping[str, str | Sequence[str]] = {}) -> bytes:
    """Return the frame of an action; a sequence becomes a repeated header.

    Raises:
        ActionError: a name or a value holds CR, LF or NUL, or a name holds a colon.

    """
    lines = []
    for key, value in (("Action", name), *fields.items()):
        if not key or any(c in ":\r\n\0" for c in key):
            raise ActionError(f"{key[:40]!r} is no name for a field: use letters and digits")
        for text in (value,) if isinstance(value, str) else value:
            if any(c in text for c in "\r\n\0"):
                raise ActionError(f"{key}: a value is one line of text: remove line breaks")
            lines.append(f"{key}: {text}\r\n")
    return ("".join(lines) + "\r\n").encode()
