"""The directory after every step, and after a crash between any two."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from centralino.agent.store import KEPT_RELEASES, Store
from centralino.asterisk.render import NOTHING, render
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot, Tenant

ONE = Snapshot(pbx="pbx01", tenants=(Tenant(id=1, name="One"),))
TWO = Snapshot(pbx="pbx01", tenants=(Tenant(id=2, name="Two"),))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def written(store: Store, snapshot: Snapshot) -> str:
    return store.write_release(snapshot.etag, render(snapshot))


def made_live(store: Store, snapshot: Snapshot) -> str:
    with store.locked():
        store.propose(snapshot)
        name = written(store, snapshot)
        store.swap(name)
        store.accept()
    return name


def test_an_empty_directory_knows_nothing(store: Store) -> None:
    assert (store.accepted(), store.proposed(), store.current(), store.result()) == (None, None, None, None)
    assert store.objects(None) == NOTHING


def test_a_release_is_written_once_and_says_what_it_makes(store: Store) -> None:
    name = written(store, ONE)
    before = (store.release(name) / "pjsip.conf").stat()
    assert written(store, ONE) == name
    assert (store.release(name) / "pjsip.conf").stat() == before
    assert store.objects(name) == render(ONE).objects
    assert (store.release(name) / "pjsip.conf").stat().st_mode & 0o777 == 0o640


def test_a_damaged_release_is_written_anew(store: Store) -> None:
    name = written(store, ONE)
    (store.release(name) / "pjsip.conf").write_text("; edited by hand\n")
    assert written(store, ONE) == name
    assert (store.release(name) / "pjsip.conf").read_text() == render(ONE).files["pjsip.conf"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"pjsip.conf": [["trunk", "t1-x"]]}',
        '{"pjsip.conf": ["x"]}',
        '{"pjsip.conf": 1}',
        '{"queues.conf": [["queue", "q"]]}',
    ],
)
def test_of_a_damaged_or_a_newer_agents_release_nothing_is_known(store: Store, text: str) -> None:
    name = written(store, ONE)
    (store.release(name) / "objects.json").write_text(text)
    assert store.objects(name) == NOTHING


def test_another_text_for_the_same_snapshot_is_another_release(store: Store) -> None:
    assert store.write_release("0" * 16, render(ONE)) != store.write_release("0" * 16, render(TWO))


def test_accepting_ends_an_apply(store: Store, tmp_path: Path) -> None:
    name = made_live(store, ONE)
    assert (store.accepted(), store.proposed(), store.current()) == (ONE, None, name)
    assert not store.swapped()
    assert (tmp_path / "current" / "pjsip.conf").read_text() == render(ONE).files["pjsip.conf"]


def test_swapping_back_restores_the_release_before(store: Store) -> None:
    first = made_live(store, ONE)
    with store.locked():
        store.propose(TWO)
        store.swap(written(store, TWO))
        assert store.swap_back() == first
        store.withdraw()
    assert (store.accepted(), store.proposed(), store.current()) == (ONE, None, first)


def test_swapping_back_the_first_release_leaves_none(store: Store, tmp_path: Path) -> None:
    with store.locked():
        store.propose(ONE)
        store.swap(written(store, ONE))
        assert store.swap_back() is None
        store.withdraw()
    assert not (tmp_path / "current").is_symlink()


def test_a_second_try_after_a_crash_still_knows_the_way_back(store: Store, tmp_path: Path) -> None:
    first = made_live(store, ONE)
    with store.locked():
        store.propose(TWO)
        store.swap(written(store, TWO))
    again = Store(tmp_path)  # the crash
    with again.locked():
        assert again.swapped()
        again.swap(written(again, TWO))
        assert again.swap_back() == first


def test_what_a_crash_left_half_written_is_cleared(store: Store, tmp_path: Path) -> None:
    made_live(store, ONE)
    (tmp_path / "next.json.new").write_text("{")
    (tmp_path / "current.new").symlink_to("releases/none")
    (tmp_path / "former").symlink_to("releases/none")  # a crash right after the snapshot was accepted
    half = tmp_path / "releases" / "half.new"
    half.mkdir()
    (half / "pjsip.conf").write_text("half")
    with store.locked():
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "snapshot.json", "releases", "current"}
        assert not half.exists()


def test_a_damaged_file_is_as_none(store: Store, tmp_path: Path) -> None:
    made_live(store, ONE)
    (tmp_path / "snapshot.json").write_text('{"pbx": "pb')
    assert store.accepted() is None


def test_old_releases_go_and_the_current_one_stays(store: Store) -> None:
    names = []
    for number in range(1, KEPT_RELEASES + 4):
        names.append(made_live(store, Snapshot(pbx="pbx01", tenants=(Tenant(id=number, name="x"),))))
        store.prune()
    left = [name for name in names if store.release(name).exists()]
    assert left == names[-KEPT_RELEASES:]
    assert store.current() == names[-1]


def test_a_result_is_kept_until_it_is_told(tmp_path: Path) -> None:
    result = ApplyResult(
        pbx="pbx01", etag=ONE.etag, outcome="live", finished=datetime(2026, 1, 1, tzinfo=UTC), seconds=2
    )
    Store(tmp_path).keep_result(result)
    assert Store(tmp_path).result() == result
    Store(tmp_path).drop_result()
    assert Store(tmp_path).result() is None
