"""When a backup job runs, what it keeps, and what it is refused for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxmoxer import ResourceException

from lab.proxmox import calendar_events, prune
from tests.stand_in import StandIn, standing

HOUR, DAY = 3600, 86400


@pytest.fixture(autouse=True)
def _in_rome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the node be where the clock is put forward, and back."""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


@pytest.mark.parametrize(
    ("event", "after", "comes"),
    [
        ("01:30", "2026-11-30 01:29", "2026-11-30 01:30"),
        ("01:30", "2026-11-30 01:30", "2026-12-01 01:30"),
        ("sat 03:00", "2026-11-30 01:30", "2026-12-05 03:00"),
        ("mon..fri 22:00", "2026-12-04 22:00", "2026-12-07 22:00"),
        ("mon,wed 8..17:0/30", "2026-11-30 17:30", "2026-12-02 08:00"),
        ("*/15", "2026-11-30 01:31", "2026-11-30 01:45"),
        ("*:*", "2026-11-30 23:59", "2026-12-01 00:00"),
        ("hourly", "2026-11-30 01:31", "2026-11-30 02:00"),
        ("monthly", "2026-11-30 01:31", "2026-12-01 00:00"),
        ("Sat *-1..7 15:00", "2026-11-30 01:31", "2026-12-05 15:00"),
        ("2027-02-28 04:00", "2026-11-30 01:31", "2027-02-28 04:00"),
        ("2-29 04:00", "2026-11-30 01:31", "2028-02-29 04:00"),
        # The clock is put forward from 02:00 to 03:00 on that day.
        ("01:30", "2026-03-28 12:00", "2026-03-29 01:30"),
    ],
)
def test_an_event_comes_next(event: str, after: str, comes: str) -> None:
    assert calendar_events.following(event, at(after)) == at(comes)


def test_what_is_past_never_comes() -> None:
    assert calendar_events.following("2020-01-01 00:00", at("2026-11-30 01:30")) is None


@pytest.mark.parametrize("event", ["", "25:00", "01:60", "noon", "fri..mon 01:00", "01:30 sat", "1-2-3-4 5:6", "1:2:3"])
def test_what_is_no_event_is_refused(event: str) -> None:
    with pytest.raises(ValueError, match=r"calendar event|range|weekday|order"):
        calendar_events.parse(event)


def nightly(days: int) -> dict[str, float]:
    """Return a backup for each night, by its day."""
    end = at("2026-11-30 01:30")
    return {time.strftime("%m-%d", time.localtime(end - n * DAY)): end - n * DAY for n in range(days)}


def test_each_period_keeps_what_finer_ones_have_not() -> None:
    kept = sorted(nightly(60).keys() - set(prune.surplus(nightly(60), {"keep-daily": 3, "keep-weekly": 2})))
    # Three days, of which two are in the week that ended on the 29th; then the weeks before.
    assert kept == ["11-15", "11-22", "11-28", "11-29", "11-30"]
    assert prune.surplus(nightly(60), {"keep-all": 1}) == prune.surplus(nightly(60), {}) == []


@given(
    st.lists(st.integers(0, 400 * DAY), unique=True, max_size=40),
    st.dictionaries(
        st.sampled_from(["keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly"]),
        st.integers(0, 5),
    ),
)
def test_the_newest_is_kept_and_no_more_than_was_asked_for(times: list[int], keep: dict[str, int]) -> None:
    made = {str(moment): float(moment) for moment in times}
    gone = prune.surplus(made, keep)
    if made and any(keep.values()):
        assert str(max(times)) not in gone
        assert len(made) - len(gone) <= sum(keep.values())
    # What is kept once is kept again as long as nothing new comes.
    left = {name: moment for name, moment in made.items() if name not in gone}
    assert prune.surplus(left, keep) == []


# --- the API ---------------------------------------------------------------------------------------------------------

JOB: dict[str, Any] = {"id": "nightly", "vmid": "101,102", "storage": "shared", "schedule": "01:30"}


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    with standing(tmp_path / "state") as one:
        yield one


def test_a_job_is_read_as_a_node_shows_it(stand_in: StandIn) -> None:
    api = stand_in.client()
    api.cluster.backup.post(**JOB, **{"prune-backups": "keep-daily=7,keep-weekly=4"})
    (job,) = api.cluster.backup.get()
    assert (job["id"], job["type"], job["enabled"]) == ("nightly", "vzdump", 1)
    assert job["prune-backups"] == {"keep-daily": "7", "keep-weekly": "4"}
    assert job["next-run"] == calendar_events.following("01:30", time.time())
    api.cluster.backup("nightly").put(all=1)
    assert "vmid" not in api.cluster.backup("nightly").get()
    api.cluster.backup("nightly").put(exclude="103", enabled=0)
    api.cluster.backup("nightly").put(vmid="101")
    job = api.cluster.backup("nightly").get()
    assert (job["vmid"], job.keys() & {"all", "exclude", "next-run"}) == ("101", set())
    api.cluster.backup("nightly").put(delete="storage")
    assert "storage" not in api.cluster.backup("nightly").get()
    api.cluster.backup("nightly").delete()
    assert api.cluster.backup.get() == []
    api.cluster.backup.post(vmid="101", starttime="22:15", dow="mon,tue")
    assert api.cluster.backup.get()[0]["schedule"] == "mon,tue 22:15"


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        ({"schedule": "noon"}, 400, "invalid calendar event 'noon'"),
        ({"vmid": "101", "all": 1}, 400, "option conflicts with option 'vmid'"),
        ({"vmid": ""}, 400, "property is missing"),
        ({"prune-backups": "keep-nightly=1"}, 400, "keep-nightly"),
        ({"script": "/bin/true"}, 400, "Only root may set this option."),
        ({"starttime": "01:30"}, 400, "cannot be set at the same time"),
        ({}, 500, "Job 'nightly' already exists"),
    ],
)
def test_what_is_no_job_is_refused(stand_in: StandIn, settings: dict[str, Any], status: int, said: str) -> None:
    api = stand_in.client()
    api.cluster.backup.post(**JOB)
    with pytest.raises(ResourceException) as refused:
        api.cluster.backup.post(**JOB | settings)
    assert refused.value.status_code == status
    assert said in f"{refused.value.content} {refused.value.errors} {refused.value.status_message}"
    with pytest.raises(ResourceException, match="No such job 'weekly'"):
        api.cluster.backup("weekly").put(enabled=0)


def test_a_node_tells_when_an_event_comes(stand_in: StandIn) -> None:
    answer = stand_in.client().cluster.jobs("schedule-analyze").get(schedule="sat 03:00", iterations=3)
    first = calendar_events.following("sat 03:00", time.time())
    assert first is not None
    assert answer[0]["timestamp"] == first
    assert len(answer) == 3
