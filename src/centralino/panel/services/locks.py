"""Database-wide locks, each held until the transaction ends (PostgreSQL's advisory locks)."""

from enum import IntEnum

from django.db import connection


class Lock(IntEnum):
    """What is locked; the numbers only have to differ."""

    CONFIGURATION = 0x63656E01
    SIGNING_KEYS = 0x63656E02
    WRONG_PASSWORDS = 0x63656E03
    CHECK_SYNCS = 0x63656E04


def take(lock: Lock) -> None:
    """Wait for a lock and keep it until the end of the current transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("a lock is taken inside a transaction")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int(lock)])
