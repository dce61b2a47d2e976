"""Time zones as phones want them, against what Python's own zone database computes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from centralino.phones.clock import Change, Clock, clock

ROME = Clock(3600, 3600, Change(3, 5, 0, 7200), Change(10, 5, 0, 10800), "CET-1CEST,M3.5.0,M10.5.0/3")


def test_rome() -> None:
    assert clock("Europe/Rome") == ROME
    assert ROME.hours == "+1"


@pytest.mark.parametrize(
    ("zone", "hours", "saving"),
    [
        ("UTC", "+0", 0),
        ("Asia/Kolkata", "+5:30", 0),
        ("America/St_Johns", "-3:30", 3600),
        ("Australia/Lord_Howe", "+10:30", 1800),
        ("Europe/Dublin", "+0", 3600),
    ],
)
def test_odd_offsets(zone: str, hours: str, saving: int) -> None:
    assert (clock(zone).hours, clock(zone).saving) == (hours, saving)


def test_a_winter_time_that_is_the_exception_is_told_as_a_summer_time() -> None:
    ireland, britain = clock("Europe/Dublin"), clock("Europe/London")
    assert britain.posix == "GMT0BST,M3.5.0/1,M10.5.0"
    assert ireland == replace(britain, posix="GMT0IST,M3.5.0/1,M10.5.0")


def moment(change: Change, year: int, offset: int) -> datetime:
    """Return when a change happens, in UTC."""
    day = datetime(year, change.month, 1, tzinfo=UTC)
    day += timedelta(days=(change.weekday - day.isoweekday()) % 7 + 7 * (change.week - 1))
    while day.month != change.month:
        day -= timedelta(days=7)
    return day + timedelta(seconds=change.seconds - offset)


BY_THE_MOON = {"Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron"}
"""Summer time pauses for Ramadan there: no phone's rule can say that."""
NOWHERE = {"localtime", "posixrules", "Factory"}


def agrees(zone: str, year: int) -> bool:
    """Tell whether a zone's clock changes in a year exactly when Python says so, or never in both."""
    here, there = clock(zone), ZoneInfo(zone)
    winter, summer = timedelta(seconds=here.offset), timedelta(seconds=here.offset + here.saving)
    if here.start is None or here.end is None:
        return {datetime(year, month, 1, tzinfo=there).utcoffset() for month in range(1, 13)} == {winter}
    begins = moment(here.start, year, here.offset)
    ends = moment(here.end, year, here.offset + here.saving)
    before = timedelta(seconds=1)
    moments = (begins - before, begins, ends - before, ends)
    return [when.astimezone(there).utcoffset() for when in moments] == [winter, summer, summer, winter]


def test_every_zone_changes_when_python_says_so() -> None:
    zones = available_timezones() - BY_THE_MOON - NOWHERE
    assert len(zones) > 400
    assert [zone for zone in sorted(zones) if clock(zone).saving < 0] == []
    assert [zone for zone in sorted(zones) if not agrees(zone, 2036)] == []
