"""A time zone as phones want it: an offset and two changes, from the rule that the zone database has for the future."""

import functools
import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path

LAST = 5
"""As a week: the month's last."""
_HOUR = 3600
_RULE = re.compile(
    r"(?P<name>(?:<[^>]+>|[A-Za-z]+))(?P<offset>[-+0-9:]+)"
    r"(?:(?P<summer_name>(?:<[^>]+>|[A-Za-z]+))(?P<summer>[-+0-9:]+)?,(?P<start>M[^,]+),(?P<end>M[^,]+))?"
)
_CHANGE = re.compile(r"M(\d+)\.(\d)\.(\d)(?:/([-+0-9:]+))?")


@dataclass(frozen=True)
class Change:
    """When clocks change: at so many seconds of a day's local time, on a month's n-th weekday (0 is Sunday)."""

    month: int
    week: int
    weekday: int
    seconds: int

    @property
    def clock(self) -> tuple[int, int, int]:
        """Hours, minutes and seconds; phones know no day of more than 24 hours and none before its beginning."""
        seconds = min(max(self.seconds, 0), 24 * _HOUR - 1)
        return seconds // _HOUR, seconds // 60 % 60, seconds % 60

    @property
    def isoweekday(self) -> int:
        """The weekday with Sunday as 7."""
        return self.weekday or 7


@dataclass(frozen=True)
class Clock:
    """Seconds east of UTC, and of summer time what is added and its two changes; ``posix`` is all of it in one word.

    What is added is never negative.
    """

    offset: int
    saving: int
    start: Change | None
    end: Change | None
    posix: str

    @property
    def hours(self) -> str:
        """The offset as ``+1`` or ``-3:30``."""
        minutes = abs(self.offset) // 60
        sign = "-" if self.offset < 0 else "+"
        return f"{sign}{minutes // 60}" + (f":{minutes % 60:02d}" if minutes % 60 else "")


@functools.cache
def clock(zone: str) -> Clock:
    """Return the clock of an IANA zone that ``zoneinfo`` knows.

    A TZif file of version 2 and above ends with the rule after its last transition, in POSIX's notation (RFC 9636
    §3.3). A rule that counts days instead of weeks is rendered as no summer time; no zone in force has one.

    Irish law has winter time as the exception, an hour less than the standard, and the zone database says it so. No
    phone's manual knows of that: it is told the other way round here, as the same clock with a summer time.
    """
    posix = _footer(zone)
    match = _RULE.fullmatch(posix)
    if match is None:
        return Clock(0, 0, None, None, "UTC0")
    offset = -_seconds(match["offset"])
    if match["start"] is None:
        return Clock(offset, 0, None, None, posix)
    saving = -_seconds(match["summer"]) - offset if match["summer"] else _HOUR
    start, end = _change(match["start"]), _change(match["end"])
    if saving < 0:
        return Clock(offset + saving, -saving, end, start, _turned(match, -saving))
    return Clock(offset, saving, start, end, posix)


def _turned(rule: re.Match[str], saving: int) -> str:
    """Return a rule in POSIX's notation with its two times in each other's place; an hour more goes without saying."""
    offset = "" if saving == _HOUR else rule["offset"]
    return f"{rule['summer_name']}{rule['summer']}{rule['name']}{offset},{rule['end']},{rule['start']}"


def _footer(zone: str) -> str:
    for folder in zoneinfo.TZPATH:
        file = Path(folder, zone)
        if file.is_file():
            return file.read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")
    raise zoneinfo.ZoneInfoNotFoundError(zone)


def _seconds(text: str) -> int:
    """Return ``[+-]hh[:mm[:ss]]`` in seconds."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (_HOUR, 60, 1), strict=False))


def _change(text: str) -> Change:
    match = _CHANGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    month, week, weekday = (int(match[group]) for group in (1, 2, 3))
    return Change(month, week, weekday, _seconds(match[4]) if match[4] else 2 * _HOUR)
