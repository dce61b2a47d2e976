"""Gunicorn's configuration: ``gunicorn --config python:centralino.panel.server``.

Threads, not processes, wait for a publication: a long poll costs a thread and an idle database connection.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from centralino.panel import config, lifecycle

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

_server = config.load().server

wsgi_app = "centralino.panel.wsgi:application"
bind = f"unix:{_server.socket}"
worker_class = "gthread"
workers = _server.workers
threads = _server.threads
timeout = 60
graceful_timeout = 10
# nginx holds its connections to the socket open.
keepalive = 75
# A worker's sign of life is a file that it touches: in memory, so that a slow disk kills no worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()  # noqa: S108 - gunicorn makes it private
# Renewing the workers now and then bounds what a leak in a library could cost.
max_requests = 20_000
max_requests_jitter = 2_000
# The socket's folder lets nginx's group in and nobody else; nginx needs to write to the socket.
umask = 0o007
accesslog = None  # nginx keeps it
errorlog = "-"


def post_worker_init(worker: "Worker") -> None:
    """Let long polls end at once when this worker is told to stop."""
    lifecycle.set_stopping(lambda: not worker.alive)
