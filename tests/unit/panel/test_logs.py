"""What the panel writes into the journal: one line a record, so that nobody writes lines that a ban is decided on."""

import logging
import subprocess
import sys
from urllib.parse import quote

import pytest

from centralino.panel.logs import MAX_BYTES, OneLine

FORGED = "WARNING centralino.panel.phones: phone refused: address=192.0.2.77 mac=none"
"""What role fail2ban counts."""
REQUEST = f"""
import django
django.setup()
from django.test import Client
stranger = Client(headers={{"Host": "panel.test", "X-Forwarded-Proto": "https", "X-Real-IP": "198.51.100.7"}})
content_type = "multipart/form-data; boundary*=utf-8''" + {quote(f"a\n{FORGED}\r{FORGED}\0{FORGED}\n")!r}
assert stranger.generic("POST", "/login", b"x", content_type=content_type).status_code == 400
"""
SERVER = f"""
from gunicorn.config import Config
from centralino.panel import server
log = server.logger_class(Config())
log.warning("Invalid request from ip=: " + {f"a\n{FORGED}\n"!r})
try:
    raise ValueError({f"a\n{FORGED}\n"!r})
except ValueError:
    log.exception("Error handling request")
"""


def said(program: str) -> str:
    """Return what a program writes to standard error, where journald reads."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


@pytest.mark.usefixtures("database")  # with it comes what the page that answers is made of
@pytest.mark.parametrize(
    ("program", "beginnings"),
    [
        (REQUEST, ["WARNING django.request: Bad request (Unable to parse request body): /login"]),
        (SERVER, ["[", "["]),
    ],
    ids=["request", "gunicorn"],
)
def test_no_request_writes_a_line_of_its_own(program: str, beginnings: list[str]) -> None:
    text = said(program)
    assert FORGED in text, "the text that was sent is there, and told from our lines"
    lines = text.replace("\0", "\n").splitlines()
    assert len(lines) == len(beginnings), text
    for line, beginning in zip(lines, beginnings, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize("filling", ["a", "\n", "€", "\U0001f600", "\udc80"])
def test_a_line_is_never_so_long_that_it_is_written_or_read_in_pieces(filling: str) -> None:
    record = logging.LogRecord("centralino", logging.WARNING, "", 0, "begin %s end", (f"{filling}x" * 50_000,), None)
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert len(line.encode()) <= MAX_BYTES
    assert line.startswith("WARNING begin ")
    assert line.endswith("x end")
