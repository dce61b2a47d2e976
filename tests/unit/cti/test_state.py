"""States of extensions from hints."""

import pytest

from centralino.contract.live import State
from centralino.cti.state import Extension, Extensions, Hint, state_of


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("0", "free"),
        ("1", "busy"),
        ("2", "busy"),
        ("4", "unregistered"),
        ("8", "ringing"),
        ("9", "ringing"),
        ("16", "held"),
        ("17", "busy"),
        ("-1", None),
        ("-2", None),
        ("", None),
        ("Idle", None),
    ],
)
def test_asterisks_status_becomes_one_of_five(status: str, state: State | None) -> None:
    assert state_of(status) == state


def test_since_counts_from_the_change_of_state_only() -> None:
    extensions = Extensions()
    assert extensions.apply("pbx01", Hint(175, "101", "free"), 1)
    assert not extensions.apply("pbx01", Hint(175, "101", "free"), 2)
    assert extensions.of(175) == {"101": Extension("free", 1, "pbx01")}
    assert extensions.apply("pbx01", Hint(175, "101", "busy"), 3)
    assert extensions.of(175) == {"101": Extension("busy", 3, "pbx01")}


def test_a_picture_tells_what_came_what_changed_and_what_went() -> None:
    extensions = Extensions()
    extensions.apply("pbx01", Hint(175, "101", "free"), 1)
    extensions.apply("pbx01", Hint(175, "102", "free"), 1)
    extensions.apply("pbx02", Hint(177, "201", "free"), 1)
    changed = extensions.replace("pbx01", [Hint(175, "101", "busy"), Hint(176, "101", "free")], 2)
    assert changed == {175: {"101", "102"}, 176: {"101"}}
    assert set(extensions.of(175)) == {"101"}
    assert set(extensions.of(177)) == {"201"}, "another PBX's extensions stay"


def test_a_lost_pbx_greys_its_own_only() -> None:
    extensions = Extensions()
    extensions.apply("pbx01", Hint(175, "101", "free"), 1)
    extensions.apply("pbx02", Hint(175, "102", "free"), 1)
    assert extensions.lose("pbx01", 5) == {175: {"101"}}
    assert extensions.of(175) == {"101": Extension("unregistered", 5, "pbx01"), "102": Extension("free", 1, "pbx02")}


def test_a_tenant_that_moves_belongs_to_the_pbx_that_told_of_it_last() -> None:
    extensions = Extensions()
    extensions.apply("pbx01", Hint(175, "101", "free"), 1)
    extensions.apply("pbx02", Hint(175, "101", "free"), 2)
    assert extensions.lose("pbx01", 3) == {}
    assert extensions.replace("pbx01", [], 4) == {}
    assert extensions.of(175) == {"101": Extension("free", 1, "pbx02")}
