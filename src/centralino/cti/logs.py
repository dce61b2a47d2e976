"""Log lines for the journal: a priority (sd-daemon(3)) and one line of text, whatever came from outside."""

import logging
import sys
from typing import override

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class _Formatter(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\r", "\\r").replace("\n", "\\n")
        return f"<{_PRIORITIES.get(record.levelname, 6)}>{text}"


_STRANGERS = (
    # Frames that are none, which anybody may send before any token; picows has closed with 1002.
    "WS parser error",
    # Whoever connects and leaves, a port scan, say; aiofastnet reports it with an exception that cannot be printed.
    "SSL handshake failed",
)


def tells_of_us(record: logging.LogRecord) -> bool:
    """Leave out what strangers can cause as often as they like."""
    return not record.getMessage().startswith(_STRANGERS)


def set_up() -> None:
    """Send the service's own lines to standard error, and of the libraries' only what went wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(message)s"))
    handler.addFilter(tells_of_us)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("centralino").setLevel(logging.INFO)
    # They would log addresses, tokens in them included, or every stranger's broken handshake.
    for name in ("picows", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
