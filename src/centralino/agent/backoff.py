"""How long to wait before the next try."""

import random


class Backoff:
    """Waits that double from ``first`` to ``most`` seconds, each shortened by chance by up to a half.

    The chance keeps ten agents from asking a panel that has come back all in the same moment.
    """

    def __init__(self, first: float = 0.5, most: float = 10.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """Begin anew: the last try went well."""
        self._next = self._first

    def seconds(self) -> float:
        """Return the next wait."""
        wait = self._next
        self._next = min(self._next * 2, self._most)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
