"""Lines of Asterisk's configuration files, made so that no value can end its line or open another section."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

HEADER = "; Managed by Centralino: centralino-agent makes this file from the panel's configuration. Do not edit it."
MARK_PREFIX = "centralino-"

_MAX_LINE = 4000
"""Bytes; Asterisk cuts a dialplan application's argument at 4096 (``VAR_BUF_SIZE``) and a file's line at 8192."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f;\\]")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,79}")
_EXTENSION = re.compile(r"[A-Za-z0-9_*-]{1,79}")
"""A name, or a pattern such as ``_*85XXX``; none with ``.`` or ``!``, which match any byte (:mod:`.dialplan`)."""


class RenderError(ValueError):
    """A value that no file of Asterisk may hold; the contract refuses it too, so this is a second lock on the door."""


def section(name: str, *, like: str = "") -> str:
    """Return the line that opens section ``name``, which inherits from the template ``like``."""
    return f"[{_checked_name(name)}]({_checked_name(like)})" if like else f"[{_checked_name(name)}]"


def setting(key: str, value: str) -> str:
    """Return the line ``key=value``."""
    return _checked_line(f"{key}={value}")


def step(extension: str, priority: str, application: str) -> str:
    """Return the dialplan line of one priority, or of a hint where ``priority`` is ``hint``."""
    return _checked_line(f"exten => {_checked_name(extension, _EXTENSION)},{priority},{application}")


def cut(text: str, size: int) -> str:
    """Return the beginning of ``text`` that takes at most ``size`` bytes in UTF-8, whole characters only."""
    return text.encode()[:size].decode(errors="ignore")


def sealed(lines: Iterable[str], mark: Callable[[str], Sequence[str]]) -> tuple[str, str]:
    """Return a file's text and the name of its mark.

    The mark is an object whose name holds the digest of all lines before it (``mark`` makes its lines from the name).
    An Asterisk that has the mark has read this very text, so one look tells which text it runs.
    """
    body = "\n".join([HEADER, *lines, ""])
    name = MARK_PREFIX + hashlib.sha256(body.encode()).hexdigest()[:16]
    return body + "\n".join([*mark(name), ""]), name


def _checked_line(line: str) -> str:
    if _FORBIDDEN.search(line):
        raise RenderError(f"{line.partition('=')[0]}: a control character, semicolon or backslash cannot be written")
    if len(line.encode()) > _MAX_LINE:
        raise RenderError(f"{line[:60]}…: the line is longer than {_MAX_LINE} bytes; use fewer devices per extension")
    return line


def _checked_name(name: str, shape: re.Pattern[str] = _NAME) -> str:
    if not shape.fullmatch(name):
        raise RenderError(f"{name!r} is no name for a section or an extension of Asterisk")
    return name
