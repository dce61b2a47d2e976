"""Calendar events: when a job of the cluster runs (pve-docs, appendix "Calendar Events").

``[WEEKDAYS] [[YEARS-]MONTHS-DAYS] [HOURS:MINUTES]`` or minutes alone, in the node's own time; each part may be a list
(``mon,fri``), a range (``8..17``) and repeat (``0/15``). Seconds, which no job here needs, are refused.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORDS = {
    "minutely": "*:*",
    "hourly": "*:00",
    "daily": "00:00",
    "weekly": "mon 00:00",
    "monthly": "*-1 00:00",
    "quarterly": "1,4,7,10-1 00:00",
    "semiannually": "1,7-1 00:00",
    "semi-annually": "1,7-1 00:00",
    "yearly": "1-1 00:00",
    "annually": "1-1 00:00",
}
_YEARS = (1970, 2199)
_LONGEST = 8 * 366 + 1
"""Days in which an event that comes again comes again: the 29th of February may be eight years off."""


@dataclass(frozen=True)
class Event:
    """The values of each part."""

    weekdays: frozenset[int]
    """Monday is 0."""
    years: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    hours: tuple[int, ...]
    minutes: tuple[int, ...]

    def on(self, day: date) -> bool:
        """Tell whether it falls on a day."""
        return (
            day.weekday() in self.weekdays
            and day.year in self.years
            and day.month in self.months
            and day.day in self.days
        )


@cache
def parse(text: str) -> Event:
    """Return the event that a text means. Raises :class:`ValueError`."""
    words = _WORDS.get(text.strip().lower(), text).split()
    if not words:
        raise ValueError("unable to parse calendar event - event is empty")
    weekdays = frozenset(range(7))
    if words[0][:3].lower() in _WEEKDAYS:
        weekdays = frozenset(_weekdays(words.pop(0).lower()))
    years, months, days = "*", "*", "*"
    if words and "-" in words[0]:
        *before, months, days = words.pop(0).split("-")
        if len(before) > 1:
            raise ValueError(f"unable to parse calendar event '{text}'")
        years = before[0] if before else "*"
    clock = words.pop(0) if words else "00:00"
    if words or clock.count(":") > 1:
        raise ValueError(f"unable to parse calendar event - unused parts in '{text}'")
    hours, _, minutes = clock.rpartition(":")
    return Event(
        weekdays,
        frozenset(_numbers(years, *_YEARS)),
        frozenset(_numbers(months, 1, 12)),
        frozenset(_numbers(days, 1, 31)),
        tuple(sorted(set(_numbers(hours or "*", 0, 23)))),
        tuple(sorted(set(_numbers(minutes, 0, 59)))),
    )


def following(text: str, after: float) -> float | None:
    """Return when an event comes next after a moment (seconds since the epoch); None where it never does."""
    event, begin = parse(text), time.localtime(after)
    first = date(begin.tm_year, begin.tm_mon, begin.tm_mday)
    for offset in range(_LONGEST):
        day = first + timedelta(days=offset)
        for hour, minute in (
            ((hour, minute) for hour in event.hours for minute in event.minutes) if event.on(day) else ()
        ):
            moment = time.mktime((day.year, day.month, day.day, hour, minute, 0, 0, 0, -1))
            if moment > after:
                return moment
    return None


def _weekdays(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dots, last = part.partition("..")
        if first not in _WEEKDAYS or (dots and last not in _WEEKDAYS):
            raise ValueError(f"unable to parse weekday specification '{part}'")
        begin, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        if end < begin:
            raise ValueError(f"wrong order in range '{part}'")
        yield from range(begin, end + 1)


def _numbers(text: str, least: int, most: int) -> Iterator[int]:
    for part in text.split(","):
        match = re.fullmatch(r"(\*|\d+)(?:\.\.(\d+))?(?:/([1-9]\d*))?", part, re.ASCII)
        if match is None:
            raise ValueError(f"unable to parse calendar event '{part}'")
        first, last, step = match.groups()
        begin = least if first == "*" else int(first)
        end = int(last) if last else most if first == "*" or step else begin
        if not least <= begin <= end <= most:
            raise ValueError(f"value '{part}' out of range")
        yield from range(begin, end + 1, int(step or 1))
