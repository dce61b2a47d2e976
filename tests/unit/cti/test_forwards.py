"""What calls to extensions meet, from presence states."""

import pytest

from centralino.contract.live import ExtensionState
from centralino.contract.names import dnd_state, forward_state
from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.forwards import Wish
from centralino.cti.state import Hint


def told(name: str, status: str, text: str = "") -> Message:
    headers = {"Presentity": name, "Status": status, "Subtype": "x", "Message": text}
    return Message(Kind.EVENT, "PresenceStateChange", headers)


DND = told(dnd_state("t175", "101"), "dnd")
LOUD = told(dnd_state("t175", "101"), "available")
FORWARD = told(forward_state("t175", "101"), "xa", "102")


@pytest.fixture
def boards() -> Boards:
    made = Boards()
    for tenant, number in ((175, "101"), (175, "102"), (176, "101")):
        made.extensions.apply("pbx01", Hint(tenant, number, "free"), 1)
    return made


def test_both_come_and_go_on_their_own_and_are_shown_with_the_extension(boards: Boards) -> None:
    forwards = boards.forwards
    assert forwards.event("pbx01", DND, 1) == {175: {"101"}}
    assert forwards.event("pbx01", DND, 2) == {}, "nothing new"
    assert forwards.event("pbx01", FORWARD, 3) == {175: {"101"}}
    assert boards.states(175) == {
        "101": ExtensionState(state="free", since=1, dnd=True, forward="102"),
        "102": ExtensionState(state="free", since=1),
    }
    assert boards.states(176) == {"101": ExtensionState(state="free", since=1)}
    assert forwards.event("pbx01", LOUD, 4) == {175: {"101"}}
    assert forwards.of(175, "101") == Wish(forward="102")
    assert boards.states(175, {"101", "999"}).keys() == {"101"}


def test_a_list_replaces_what_was_known(boards: Boards) -> None:
    assert boards.listed("pbx01", "PresenceStateList", [DND, FORWARD], 1) == {"extensions": {175: {"101"}}}
    assert boards.listed("pbx01", "PresenceStateList", [DND, FORWARD], 2) == {"extensions": {}}
    other = told(dnd_state("t176", "101"), "dnd")
    assert boards.listed("pbx01", "PresenceStateList", [other], 3) == {"extensions": {175: {"101"}, 176: {"101"}}}
    assert boards.forwards.of(175, "101") == Wish()


def test_a_pbx_that_is_lost_tells_again(boards: Boards) -> None:
    boards.forwards.event("pbx01", DND, 1)
    assert 175 in boards.lose("pbx01", 2)["extensions"]
    assert boards.states(175)["101"] == ExtensionState(state="unregistered", since=2)
    assert boards.listed("pbx01", "PresenceStateList", [DND], 3) == {"extensions": {175: {"101"}}}


def test_a_tenant_that_has_moved_left_its_wishes_behind(boards: Boards) -> None:
    boards.forwards.event("pbx01", DND, 1)
    assert boards.extensions.apply("pbx02", Hint(175, "101", "free"), 2), "what its calls meet is another PBX's to tell"
    assert boards.forwards.of(175, "101") == Wish()
    assert boards.forwards.event("pbx01", LOUD, 3) == {}
    assert boards.forwards.event("pbx02", FORWARD, 3) == {175: {"101"}}
    assert boards.forget("pbx01", 4)["extensions"] == {175: {"102"}, 176: {"101"}}
    assert boards.forwards.of(175, "101") == Wish(forward="102")


@pytest.mark.parametrize(
    "message",
    [
        told("CustomPresence:101", "dnd"),
        told("Digium:t175-dnd-101", "dnd"),
        told("CustomPresence:t175-dnd-1", "dnd"),
        told("CustomPresence:t175-dnd-999", "dnd"),
        told("CustomPresence:t175-dnd-101-102", "dnd"),
        told("CustomPresence:t175-forward-101", "xa", "*78"),
        told("CustomPresence:t175-forward-101", "xa", "123456789"),
        told("CustomPresence:t175-forward-101", "away", "102"),
    ],
)
def test_what_is_no_wish_of_a_known_extension_changes_nothing(boards: Boards, message: Message) -> None:
    assert boards.forwards.event("pbx01", message, 1) == {}
    assert boards.forwards.of(175, "101") == Wish()
