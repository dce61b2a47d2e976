"""One record, one line of the journal, whatever strangers put into it: a line is what bans are decided on.

journald makes an entry of each line of standard error, so text with a line's end in it would write entries of its own.
"""

import logging
import re
from typing import Final, override

MAX_BYTES: Final = 8000
"""Of a line. journald cuts a longer one than 48 KiB in two (journald.conf(5), ``LineMax``), and Python writes more than
8192 bytes in pieces, between which another worker's line may come: either way the rest would be a line of its own."""
_LEFT_OUT: Final = " … "

# What ends a line anywhere, NUL for journald among it, and what a terminal would take for an order; no tabulator.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str) -> str:
    """Return a text as one line; of a very long one the middle is left out."""
    line = _CONTROLS.sub(" ⏎ ", text)
    # A lone surrogate is no text; standard error would write it so, too.
    data = line.encode(errors="backslashreplace")
    if len(data) <= MAX_BYTES:
        return data.decode()
    half = (MAX_BYTES - len(_LEFT_OUT.encode())) // 2
    return data[:half].decode(errors="ignore") + _LEFT_OUT + data[-half:].decode(errors="ignore")


class OneLine(logging.Formatter):
    """Formats a record, its traceback included, as one line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))
