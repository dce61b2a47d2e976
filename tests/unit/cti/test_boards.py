"""Calls, queues, parking and conferences from events alone."""

from typing import Any

import pytest

from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.state import Hint, state_of

ANNA = "PJSIP/t175-annas0phone0-00000001"
TRUNK = "PJSIP/carrier-00000002"


def event(name: str, **headers: str) -> Message:
    return Message(Kind.EVENT, name, headers)


def boards() -> Boards:
    made = Boards()
    made.extensions.apply("pbx01", Hint(175, "101", "free", ("t175-annas0phone0",)), 1)
    return made


def dump(made: Boards, section: str, tenant: int = 175) -> Any:
    return {key: entry.model_dump() for key, entry in made.section(tenant, section).items()}


def test_a_board_is_true_only_when_its_pbx_has_told_all() -> None:
    made = Boards()
    assert made.connected(175)
    made.expect("pbx01")
    made.expect("pbx02")
    assert not made.connected(175), "it may be on either"
    hint = event("ExtensionStatus", Context="t175-internal", Exten="101", Status="0")
    assert made.listed("pbx01", "ExtensionStateList", [hint], 1) == {"extensions": {175: {"101"}}}
    assert made.connected(175)
    assert not made.connected(176)
    assert made.lose("pbx01", 2)["extensions"] == {175: {"101"}}
    assert not made.connected(175)
    assert made.listed("pbx01", "ExtensionStateList", [hint], 3) == {"extensions": {175: {"101"}}}
    made.forget("pbx02", 4)
    assert made.connected(176)


def test_a_channel_that_becomes_nobodys_is_a_call_no_more() -> None:
    made = boards()
    begin = event("Newchannel", Channel=ANNA, Uniqueid="1", Linkedid="1", ChannelState="4")
    assert made.calls.event("pbx01", begin, 5) == {175: {"pbx01:1"}}
    assert made.calls.event("pbx01", begin, 6) == {}
    renamed = event("Rename", Channel=ANNA, Newname=f"{TRUNK}<MASQ>", Uniqueid="1")
    assert made.calls.event("pbx01", renamed, 7) == {175: {"pbx01:1"}}
    assert dump(made, "calls") == {}
    assert made.calls.event("pbx01", event("Hangup", Channel=ANNA, Uniqueid="1"), 8) == {}


def test_a_masquerade_to_another_tenant_moves_the_call() -> None:
    made = boards()
    who = {"CallerIDNum": "101", "CallerIDName": "Anna", "ConnectedLineNum": "0891", "ConnectedLineName": "Dr. Who"}
    begin = event("Newchannel", Channel=ANNA, Uniqueid="1", Linkedid="1", ChannelState="6", **who)
    made.calls.event("pbx01", begin, 5)
    made.calls.event("pbx01", event("Hold", Channel=ANNA, Uniqueid="1"), 6)
    moved = event("Rename", Channel=ANNA, Newname="PJSIP/t176-somebody0000-00000009", Uniqueid="1")
    assert made.calls.event("pbx01", moved, 7) == {175: {"pbx01:1"}, 176: {"pbx01:1"}}
    assert dump(made, "calls") == {}
    (call,) = dump(made, "calls", 176).values()
    told = [(party["number"], party["name"], party["state"]) for party in call["parties"]]
    assert told == [("", "", "dialling"), ("", "", None)], "nothing of the former tenant's call is carried over"
    assert call["since"] == 7


def test_two_pbxes_may_use_the_same_identifiers() -> None:
    made = boards()
    for server in ("pbx01", "pbx02"):
        made.calls.event(server, event("Newchannel", Channel=ANNA, Uniqueid="1", Linkedid="1", ChannelState="6"), 5)
    assert set(dump(made, "calls")) == {"pbx01:1", "pbx02:1"}
    assert made.calls.replace("pbx02", [], 6) == {175: {"pbx02:1"}}


def test_a_found_call_began_when_its_channel_did_and_hours_of_nonsense_are_none() -> None:
    made = boards()
    for duration, since in (("01:02:03", 10_000_000 - 3_723_000), ("", 10_000_000), ("x:y", 10_000_000)):
        found = event("CoreShowChannel", Channel=ANNA, Uniqueid="1", ChannelState="6", Duration=duration)
        made.calls.replace("pbx01", [found], 10_000_000)
        assert dump(made, "calls")["pbx01:1"]["since"] == since
        made.calls.replace("pbx01", [], 10_000_000)


def test_a_queues_callers_move_up_and_its_agents_come_and_go() -> None:
    made = boards()
    take = made.queues.event
    for position, caller in enumerate(("0891", "0892", "0893"), start=1):
        join = event(
            "QueueCallerJoin",
            Queue="t175-sales",
            Channel=f"{TRUNK}{caller}",
            Position=str(position),
            CallerIDNum=caller,
        )
        assert take("pbx01", join, position) == {175: {"sales"}}
    take("pbx01", event("QueueCallerAbandon", Queue="t175-sales", Channel=f"{TRUNK}0891"), 9)
    take("pbx01", event("QueueCallerLeave", Queue="t175-sales", Channel=f"{TRUNK}0891"), 9)
    waiting = dump(made, "queues")["sales"]["waiting"]
    assert [(w["number"], w["position"], w["since"]) for w in waiting] == [("0892", 1, 2), ("0893", 2, 3)]
    added = {"Queue": "t175-sales", "MemberName": "Anna", "Interface": "Local/101@t175-internal/n", "Status": "1"}
    take("pbx01", event("QueueMemberAdded", **added), 9)
    take("pbx01", event("QueueMemberStatus", **added | {"Status": "6", "StateInterface": "hint:101@t175-internal"}), 9)
    take("pbx01", event("QueueMemberAdded", **added | {"Interface": "Local/101@t176-internal/n"}), 9)
    agents = dump(made, "queues")["sales"]["agents"]
    assert [(a["extension"], a["state"]) for a in agents] == [("101", "ringing"), (None, "free")]
    take("pbx01", event("QueueMemberRemoved", **added), 9)
    assert len(dump(made, "queues")["sales"]["agents"]) == 1
    assert take("pbx01", event("QueueMemberAdded", **added | {"Queue": "default"}), 9) == {}


@pytest.mark.parametrize("number", ["1", "015112345678", "\N{FULLWIDTH DIGIT ONE}23", "101\n", ""])
def test_an_agent_that_is_no_extension_is_shown_without_one(number: str) -> None:
    """A mobile phone, say: an Agent with such a number could not be made, and its queue's list not be taken."""
    made = boards()
    member = {"Queue": "t175-sales", "Name": "Anna", "Status": "1"}
    for name, place in (("QueueMember", "Location"), ("QueueMemberAdded", "Interface")):
        line = {place: f"Local/{number}@t175-outbound/n"}
        made.queues.replace("pbx01", [event(name, **member, **line)], 9)
        made.queues.event("pbx01", event(name, **member, **line), 9)
        (agent,) = dump(made, "queues")["sales"]["agents"]
        assert (agent["extension"], agent["state"]) == (None, "free")


def test_who_rings_while_he_speaks_is_shown_alike_as_extension_and_as_agent() -> None:
    """Asterisk's device state 7 (RINGINUSE) is 9 as a hint's: in use and ringing."""
    made = boards()
    member = event("QueueMemberStatus", Queue="t175-sales", Interface="PJSIP/t175-annas0phone0", Status="7")
    made.queues.event("pbx01", member, 9)
    assert dump(made, "queues")["sales"]["agents"][0]["state"] == state_of("9") == "ringing"


def test_parking_and_conferences() -> None:
    made = boards()
    lot = {"Parkinglot": "t175-lot", "ParkingSpace": "701", "ParkeeChannel": ANNA, "ParkeeCallerIDNum": "101"}
    assert made.rooms.parking("pbx01", event("ParkedCall", **lot), 5) == {175: {"701"}}
    assert dump(made, "parked")["701"] == {"extension": "101", "number": "101", "name": "", "since": 5}
    assert made.rooms.parking("pbx01", event("UnParkedCall", **lot), 6) == {175: {"701"}}
    assert made.rooms.parking("pbx01", event("ParkedCall", **lot | {"Parkinglot": "default"}), 5) == {}
    room = {"Conference": "t175-8000", "Channel": ANNA, "CallerIDNum": "101"}
    for name, muted in (("ConfbridgeJoin", False), ("ConfbridgeMute", True), ("ConfbridgeUnmute", False)):
        assert made.rooms.conference("pbx01", event(name, **room), 5) == {175: {"8000"}}
        assert dump(made, "conferences")["8000"]["participants"][0]["muted"] is muted
    made.rooms.conference("pbx01", event("ConfbridgeLeave", **room), 6)
    assert dump(made, "conferences")["8000"]["participants"] == ()
    made.rooms.conference("pbx01", event("ConfbridgeEnd", **room), 6)
    assert dump(made, "conferences") == {}


BERT = "PJSIP/t175-berts0phone0-00000002"
CARL = "PJSIP/t175-carls0phone0-00000003"
LOCAL = "Local/101@t175-internal-00000001;1"


def enter(channel: str, unique: str, linked: str, bridge: str, kind: str = "basic") -> Message:
    place = {"BridgeUniqueid": bridge, "BridgeType": kind}
    return event("BridgeEnter", Channel=channel, Uniqueid=unique, Linkedid=linked, ChannelState="6", **place)


def two_calls() -> Boards:
    """Return a board with a call of Anna's and one of Bert's, each in its own bridge."""
    made = boards()
    for channel, unique in ((ANNA, "1"), (BERT, "2")):
        begin = event("Newchannel", Channel=channel, Uniqueid=unique, Linkedid=unique, ChannelState="6")
        made.calls.event("pbx01", begin, 5)
        made.calls.event("pbx01", enter(channel, unique, unique, f"bridge{unique}"), 5)
    assert set(dump(made, "calls")) == {"pbx01:1", "pbx01:2"}
    return made


def test_who_talks_in_one_bridge_is_in_one_call_until_he_leaves_it() -> None:
    made = two_calls()
    assert made.calls.event("pbx01", enter(BERT, "2", "2", "bridge1"), 6) == {175: {"pbx01:1", "pbx01:2"}}
    (call,) = dump(made, "calls").values()
    assert [party["channel"] for party in call["parties"]] == [ANNA, BERT]
    assert made.calls.event("pbx01", enter(BERT, "2", "2", "bridge1"), 7) == {}
    left = event("BridgeLeave", Channel=BERT, Uniqueid="2", Linkedid="2", ChannelState="6", BridgeUniqueid="bridge1")
    made.calls.event("pbx01", left, 8)
    assert set(dump(made, "calls")) == {"pbx01:1", "pbx01:2"}


def test_a_local_channel_in_the_bridge_brings_its_call_along() -> None:
    """A call that is picked up from the page: the phone talks to one half of it, the caller to the other."""
    made = two_calls()
    assert made.calls.event("pbx01", enter(LOCAL, "3", "2", "bridge1"), 6) == {175: {"pbx01:1", "pbx01:2"}}
    (call,) = dump(made, "calls").values()
    assert [party["extension"] for party in call["parties"]] == ["101", None]
    made.calls.event("pbx01", enter(BERT, "2", "2", "bridge3"), 6)
    assert len(dump(made, "calls")) == 1, "its phone answers a moment later than it takes the call"
    listed = [
        event("CoreShowChannel", Channel=c, Uniqueid=u, Linkedid=u, ChannelState="6")
        for c, u in ((ANNA, "1"), (BERT, "2"))
    ]
    assert made.calls.replace("pbx01", listed, 7) == {}, "a new picture leaves it one"


def test_a_call_that_is_taken_from_a_parking_space_is_one() -> None:
    """As Asterisk 22.10 tells it: the half that takes the call has that call's Linkedid, its phone the former one."""
    for phone_first in (True, False):
        made = boards()
        for channel, unique, linked in ((ANNA, "23", "22"), (BERT, "26", "24")):
            begin = event("Newchannel", Channel=channel, Uniqueid=unique, Linkedid=linked, ChannelState="6")
            made.calls.event("pbx01", begin, 5)
        told = [enter(BERT, "26", "24", "phone"), enter(LOCAL.replace(";1", ";2"), "25", "24", "phone")]
        taken = [enter(ANNA, "23", "22", "taken"), enter(LOCAL, "24", "22", "taken")]
        for message in (*told, *taken) if phone_first else (*taken, *told):
            made.calls.event("pbx01", message, 6)
        (call,) = dump(made, "calls").values()
        assert [party["channel"] for party in call["parties"]] == [ANNA, BERT]


@pytest.mark.parametrize("transferee", [CARL, TRUNK])
def test_a_phones_attended_transfer_leaves_one_call(transferee: str) -> None:
    """As Asterisk 22.10 tells a REFER with Replaces: the transferee brings the newer bridge its older Linkedid."""
    made = boards()
    second = ANNA.replace("01", "05")
    for channel, unique, linked in ((ANNA, "1", "1"), (transferee, "2", "1"), (second, "3", "3"), (BERT, "4", "3")):
        begin = event("Newchannel", Channel=channel, Uniqueid=unique, Linkedid=linked, ChannelState="6")
        made.calls.event("pbx01", begin, 5)
        made.calls.event("pbx01", enter(channel, unique, linked, f"bridge{linked}"), 5)
    assert len(dump(made, "calls")) == 2

    def later(name: str, channel: str, unique: str, linked: str, **headers: str) -> Message:
        return event(name, Channel=channel, Uniqueid=unique, Linkedid=linked, ChannelState="6", **headers)

    for message in (
        later("BridgeLeave", transferee, "2", "1", BridgeUniqueid="bridge1"),
        enter(transferee, "2", "1", "bridge3"),
        later("BridgeLeave", second, "3", "1", BridgeUniqueid="bridge3"),
        later("NewConnectedLine", BERT, "4", "1", ConnectedLineNum="103"),
        later("NewConnectedLine", transferee, "2", "1", ConnectedLineNum="102"),
        later("BridgeLeave", ANNA, "1", "1", BridgeUniqueid="bridge1"),
        event("BridgeDestroy", BridgeUniqueid="bridge1"),
        later("Hangup", second, "3", "1"),
        later("Hangup", ANNA, "1", "1"),
    ):
        made.calls.event("pbx01", message, 6)
    ((key, call),) = dump(made, "calls").items()
    assert key == "pbx01:3"
    own = [transferee, BERT] if transferee == CARL else [BERT, None]
    assert [party["channel"] for party in call["parties"]] == own
    left = later("BridgeLeave", BERT, "4", "1", BridgeUniqueid="bridge3")
    made.calls.event("pbx01", left, 7)
    assert "pbx01:1" in dump(made, "calls"), "outside of any bridge it is in the call that Asterisk says"


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_who_talks_in_one_bridge_is_found_in_one_call(order: slice) -> None:
    """The same as the events of a call that was taken tell, by lists alone: the proxy came later."""
    half = LOCAL.replace(";1", ";2")
    listed = [
        event("CoreShowChannel", Channel=channel, Uniqueid=unique, Linkedid=linked, ChannelState="6", BridgeId=bridge)
        for channel, unique, linked, bridge in (
            (ANNA, "23", "22", "taken"),
            (LOCAL, "24", "22", "taken"),
            (BERT, "26", "24", "phone"),
            (half, "25", "24", "phone"),
        )
    ]
    for kind, calls in (("basic", 1), ("holding", 2)):
        made = boards()
        bridges = [event("BridgeListItem", BridgeUniqueid=name, BridgeType=kind) for name in ("taken", "phone")]
        assert made.listed("pbx01", "BridgeList", bridges, 5) == {"extensions": {}}
        made.listed("pbx01", "CoreShowChannels", listed[order], 5)
        assert len(dump(made, "calls")) == calls
    made.listed("pbx01", "CoreShowChannels", [], 6)
    kept = {name: value for name, value in vars(made.calls).items() if isinstance(value, dict) and any(value.values())}
    assert kept == {}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_who_holds_a_call_that_is_found_is_told_by_who_hears_the_music(order: slice) -> None:
    made = boards()
    made.extensions.apply("pbx01", Hint(175, "102", "held", ("t175-berts0phone0",)), 1)
    listed = [
        event("CoreShowChannel", Channel=channel, Uniqueid=unique, Linkedid="1", ChannelState="6")
        for channel, unique in ((ANNA, "1"), (BERT, "2"))
    ][order]
    made.listed("pbx01", "CoreShowChannels", listed, 5)
    (call,) = dump(made, "calls").values()
    assert (call["state"], [party["state"] for party in call["parties"]]) == ("held", ["held", "up"])
    made.calls.event("pbx01", event("Unhold", Channel=ANNA, Uniqueid="1", Linkedid="1"), 6)
    made.listed("pbx01", "CoreShowChannels", listed, 7)
    (call,) = dump(made, "calls").values()
    assert call["state"] == "up", "what was watched since counts, though the state comes later"


def test_nothing_is_kept_of_calls_that_are_over() -> None:
    made = two_calls()
    made.calls.event("pbx01", enter(LOCAL, "3", "2", "bridge1"), 6)
    for channel, unique in ((ANNA, "1"), (BERT, "2"), (LOCAL, "3")):
        made.calls.event("pbx01", event("Hangup", Channel=channel, Uniqueid=unique), 7)
    for bridge in ("bridge1", "bridge2"):
        made.calls.event("pbx01", event("BridgeDestroy", BridgeUniqueid=bridge), 8)
    kept = {name: value for name, value in vars(made.calls).items() if isinstance(value, dict) and any(value.values())}
    assert kept == {}


def test_parked_calls_and_a_conferences_stay_apart() -> None:
    for kind in ("parking", "confbridge"):
        made = two_calls()
        for channel, unique in ((ANNA, "1"), (BERT, "2")):
            assert made.calls.event("pbx01", enter(channel, unique, unique, "together", kind), 6) == {}


def test_who_called_stands_first_whatever_the_length_of_the_numbers() -> None:
    """A channel's Uniqueid ends by a number that counts up: the ninth's is before the tenth's."""
    made = boards()
    for channel, unique in ((CARL, "1795322880.10"), (ANNA, "1795322880.9"), (BERT, "1795322881.100")):
        begin = event("Newchannel", Channel=channel, Uniqueid=unique, Linkedid="1795322880.9", ChannelState="4")
        made.calls.event("pbx01", begin, 5)
    (call,) = dump(made, "calls").values()
    assert [party["channel"] for party in call["parties"]] == [ANNA, CARL, BERT]


def test_a_caller_of_higher_priority_moves_the_others_back() -> None:
    made = boards()

    def tell(name: str, caller: str, position: int, now: int) -> list[tuple[str, int, int]]:
        headers = {"Queue": "t175-sales", "Channel": f"{TRUNK}{caller}", "CallerIDNum": caller}
        made.queues.event("pbx01", event(name, **headers, Position=str(position)), now)
        return [(w["number"], w["position"], w["since"]) for w in dump(made, "queues")["sales"]["waiting"]]

    tell("QueueCallerJoin", "0891", 1, 1)
    tell("QueueCallerJoin", "0892", 2, 2)
    assert tell("QueueCallerJoin", "0893", 1, 3) == [("0893", 1, 3), ("0891", 2, 1), ("0892", 3, 2)]
    assert tell("QueueCallerJoin", "0891", 2, 4) == [("0893", 1, 3), ("0891", 2, 1), ("0892", 3, 2)], (
        "a list told of him already"
    )
    assert tell("QueueCallerLeave", "0893", 1, 5) == [("0891", 1, 1), ("0892", 2, 2)]


def test_who_is_found_in_a_conference_has_been_there_since_he_answered() -> None:
    """At most: no list of Asterisk tells when he came in; one that joins under our eyes is there since then."""
    made, now = boards(), 10_000_000
    room = {"Conference": "t175-8000", "Channel": ANNA, "CallerIDNum": "101"}
    for answered, since in (("65", now - 65_000), ("", now), ("x", now)):
        made.rooms.replace_conferences("pbx01", [event("ConfbridgeList", **room, AnsweredTime=answered)], now)
        assert dump(made, "conferences")["8000"]["participants"][0]["since"] == since
        made.rooms.replace_conferences("pbx01", [], now)
    made.rooms.conference("pbx01", event("ConfbridgeJoin", **room), now)
    made.rooms.replace_conferences("pbx01", [event("ConfbridgeList", **room, AnsweredTime="65")], now + 9)
    assert dump(made, "conferences")["8000"]["participants"][0]["since"] == now


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_found_call_began_with_its_oldest_channel_in_whatever_order_they_are_listed(order: slice) -> None:
    made = boards()
    listed = [
        event("CoreShowChannel", Channel=channel, Uniqueid=unique, Linkedid="1", ChannelState="6", Duration=duration)
        for channel, unique, duration in ((ANNA, "1", "00:01:00"), (BERT, "2", "00:00:50"))
    ][order]
    made.calls.replace("pbx01", listed, 100_000)
    (call,) = dump(made, "calls").values()
    assert call["since"] == 40_000
