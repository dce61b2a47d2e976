"""Tells this guest's ``centralino-bans`` of attacks; it bans here at once, and on the whole cluster right after."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from centralino.contract.bans import Report

log = logging.getLogger(__name__)

Accuse = Callable[[str, str], None]
"""Reports an address and what it did."""


def accuse(path: Path | None, address: str, reason: str) -> None:
    """Send one datagram; never waits and never fails: a socket that nobody empties costs a line in the log."""
    if path is None:
        return
    try:
        report = Report.model_validate({"address": address, "part": "cti", "reason": reason})
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.setblocking(False)
            connection.sendto(report.model_dump_json().encode(), str(path))
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "no address"
        log.warning("ban not reported: address=%s reason=%s: %s: %s", address, reason, path, why)
        return
    log.warning("ban reported: address=%s reason=%s", address, reason)
