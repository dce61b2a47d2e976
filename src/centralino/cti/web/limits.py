"""Counts that may not be passed: connections of a user or an address, messages of a connection."""

from collections import Counter
from typing import Final


class Counts:
    """How many connections each key has."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def enter(self, key: str, limit: int) -> bool:
        """Count one more, unless that would pass the limit."""
        if self._counts[key] >= limit:
            return False
        self._counts[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Count one less; keys without connections take no memory."""
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]


class Bucket:
    """A token bucket: ``rate`` a second, ``burst`` at once."""

    RATE: Final = 10.0
    BURST: Final = 50.0

    __slots__ = ("_burst", "_left", "_rate", "_when")

    def __init__(self, now: float, rate: float = RATE, burst: float = BURST) -> None:
        self._left = self._burst = burst
        self._rate = rate
        self._when = now

    def take(self, now: float) -> bool:
        """Take one, unless none is left."""
        self._left = min(self._burst, self._left + (now - self._when) * self._rate)
        self._when = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
