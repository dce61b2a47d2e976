"""Whose forwards and do-not-disturbs are nobody's any more."""

from centralino.asterisk.wishes import Wish, ending, left_behind, listed
from centralino.contract.names import dnd_state, forward_state
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

LISTING = """\
/CustomPresence/lamp                              : away,,
/CustomPresence/t0-dnd-101                        : dnd,dnd,
/CustomPresence/t175-dnd-101                      : dnd,dnd,
/CustomPresence/t175-forward-00000101             : xa,forward,103
/CustomPresence/t175-forward-101                  : xa,forward,103
/CustomPresence/t175-forward-s                    : xa,forward,103
/CustomPresence/t99999999-forward-12345678        : available,forward,
/CustomPresence/x/t175-dnd-102                    : dnd,dnd,
8 results found.
"""
"""Lines as Asterisk 22 writes them."""


def snapshot(*extensions: tuple[str, tuple[str, ...]], tenant: int = 175) -> Snapshot:
    made = tuple(
        Extension(
            number=number,
            name="Anna",
            devices=tuple(Device(endpoint=f"t{tenant}-{name * 12}", secret="s" * 32) for name in devices),
        )
        for number, devices in extensions
    )
    return Snapshot(pbx="pbx01", tenants=(Tenant(id=tenant, name="One", extensions=made),))


FORWARD, DND = Wish(175, "forward", "101"), Wish(175, "dnd", "101")


def test_only_our_own_states_are_wishes() -> None:
    assert listed(LISTING) == [
        Wish(175, "dnd", "101"),
        Wish(175, "forward", "00000101"),
        Wish(175, "forward", "101"),
        Wish(99_999_999, "forward", "12345678"),
    ]
    assert listed("0 results found.\n") == []
    assert listed("No such command 'database show CustomPresence'\n") == []


def test_a_wish_has_the_name_that_the_dialplan_reads() -> None:
    assert f"CustomPresence:{FORWARD.name}" == forward_state("t175", "101")
    assert f"CustomPresence:{DND.name}" == dnd_state("t175", "101")
    assert ending(FORWARD) == (
        "presencestate change CustomPresence:t175-forward-101 available,forward,",
        "database del CustomPresence t175-forward-101",
    )


def test_a_wish_ends_with_its_extension() -> None:
    others = snapshot(("102", ("b",)))
    assert left_behind([FORWARD, DND], snapshot(("101", ("a",))), others) == [FORWARD, DND]
    assert left_behind([FORWARD, DND], None, others) == [FORWARD, DND]
    assert left_behind([FORWARD], None, snapshot(("101", ("a",)), tenant=176)) == [FORWARD]
    assert left_behind([FORWARD], others, Snapshot(pbx="pbx01")) == [FORWARD]


def test_a_wish_ends_where_all_devices_of_the_number_are_others() -> None:
    assert left_behind([FORWARD], snapshot(("101", ("a", "b"))), snapshot(("101", ("c",)))) == [FORWARD]


def test_a_wish_stays_while_the_extension_is_the_same() -> None:
    before = snapshot(("101", ("a", "b")))
    for now in (before, snapshot(("101", ("b", "c"))), snapshot(("101", ()))):
        assert left_behind([FORWARD, DND], before, now) == []
    assert left_behind([FORWARD], snapshot(("101", ())), before) == []
    assert left_behind([FORWARD], None, before) == []
