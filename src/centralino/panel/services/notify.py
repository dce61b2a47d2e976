"""Waking other processes through PostgreSQL (NOTIFY), without polling and without holding a transaction."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import psycopg
from django.db import OperationalError, connection

from centralino.panel import lifecycle

_SLICE = 1.0
"""Seconds after which a waiting thread looks whether its process was told to stop."""


class Channel(StrEnum):
    """What may happen; the payload is the PBX it happened to, and empty where it concerns all guests."""

    PUBLICATION = "centralino_publication"
    RESULT = "centralino_result"
    CHECK_SYNC = "centralino_check_sync"
    BANS = "centralino_bans"


def send(channel: Channel, pbx: str = "") -> None:
    """Wake whoever listens, when the current transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel.value, pbx])


@contextmanager
def listening(channel: Channel) -> Iterator[Callable[[str | None, float], bool]]:
    """Listen on this thread's connection; yield ``wait(pbx, seconds)``.

    ``wait`` tells whether something happened to ``pbx`` (to any, where None) within that time. It returns early, with
    False, when the process is told to stop. What happened before the listening began is the caller's to look up, after
    it has begun: then nothing falls between.
    """
    if connection.in_atomic_block:
        raise RuntimeError("waiting inside a transaction would never see what others commit")
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {channel.value}")
    raw: psycopg.Connection = connection.connection

    def wait(pbx: str | None, seconds: float) -> bool:
        end = time.monotonic() + seconds
        try:
            while not lifecycle.stopping() and (left := end - time.monotonic()) > 0:
                for notification in raw.notifies(timeout=min(left, _SLICE), stop_after=1):
                    if pbx in (None, notification.payload):
                        return True
        except psycopg.OperationalError as error:
            connection.close()
            raise OperationalError(str(error)) from error
        return False

    try:
        yield wait
    finally:
        if connection.connection is raw and not raw.closed:
            with connection.cursor() as cursor:
                cursor.execute(f"UNLISTEN {channel.value}")
