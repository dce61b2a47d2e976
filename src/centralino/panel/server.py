"""Gunicorn's configuration: ``gunicorn --config python:centralino.panel.server``.

Threads, not processes, wait for a publication: a long poll costs a thread and an idle database connection. How many
workers and threads there are, and which socket is listened on, the service's units say.
"""

from typing import Protocol, override

from gunicorn.glogging import Logger

from centralino.panel import lifecycle, logs


class OneLineLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's own log, one line a record: it prints parts of requests that it cannot read, and tracebacks."""

    @override
    def setup(self, cfg: object) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.OneLine(self.error_fmt, self.datefmt))


wsgi_app = "centralino.panel.wsgi:application"
worker_class = "gthread"
timeout = 60
graceful_timeout = 10
# nginx opens a connection for each request; and one that was refused with its body unread is not fit for another.
keepalive = 0
# A worker's sign of life is a file that it touches: in memory, so that a slow disk kills no worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn unlinks the file at once
# Renewing the workers now and then bounds what a leak in a library could cost.
max_requests = 20_000
max_requests_jitter = 2_000
# systemd's to control.
control_socket_disable = True
accesslog = None  # nginx keeps it
errorlog = "-"
logger_class = OneLineLogger


class _Settings(Protocol):
    """What is used here of gunicorn's settings."""

    threads: int


class _Worker(Protocol):
    """What is used here of gunicorn's worker."""

    alive: bool
    cfg: _Settings
    worker_connections: int


def post_worker_init(worker: _Worker) -> None:
    """Let long polls end at once when this worker is told to stop, and nobody wait behind them here.

    A worker with no free thread leaves a request on the socket, where another finds it; by itself it takes a thousand
    and has them wait, as long as the polls do.
    """
    lifecycle.set_stopping(lambda: not worker.alive)
    worker.worker_connections = worker.cfg.threads
