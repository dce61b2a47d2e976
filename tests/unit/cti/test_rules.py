"""Who may do what: by example, and nothing of another tenant's for any action whatever."""

import re
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralino.contract.live import ActionMessage
from centralino.contract.tokens import Claims
from centralino.cti.actions.facts import Facts
from centralino.cti.actions.phrases import PHRASES, order
from centralino.cti.actions.rules import RULES, Actor, RefusedError, decide
from centralino.cti.ami.actions import encode
from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.state import Hint

ANNA = "PJSIP/t175-annas0phone0-00000001"
BERT = "PJSIP/t175-berts0phone0-00000002"
CARL = "PJSIP/t175-carls0phone0-00000003"
THEIRS = "PJSIP/t176-somebody0000-00000004"


@lru_cache
def facts() -> Facts:
    boards = Boards()
    for tenant, number, endpoint in (
        (175, "101", "t175-annas0phone0"),
        (175, "102", "t175-berts0phone0"),
        (175, "103", "t175-carls0phone0"),
        (176, "101", "t176-somebody0000"),
        (176, "201", "t176-nobody000000"),
    ):
        boards.extensions.apply("pbx01", Hint(tenant, number, "free", (endpoint,)), 1)
    for unique, (name, linked) in enumerate(((ANNA, "1"), (BERT, "1"), (CARL, "3"), (THEIRS, "4"))):
        headers = {"Channel": name, "Uniqueid": str(unique), "Linkedid": linked, "ChannelState": "6"}
        boards.calls.event("pbx01", Message(Kind.EVENT, "Newchannel", headers), 1)
    both = [Message(Kind.EVENT, "QueueParams", {"Queue": q}) for q in ("t175-sales", "t176-secret")]
    boards.queues.replace("pbx01", both, 1)
    return Facts(boards)


def actor(role: Any = "user", extension: str | None = "101") -> Actor:
    claims = Claims(sub="anna", tenant=175, extension=extension, role=role, iat=1, exp=2, jti="12345678")
    return Actor(claims, facts())


def live(action: str, who: Actor | None = None, **fields: Any) -> tuple[str, dict[str, str]]:
    made = order(who or actor(), ActionMessage(action=action, **fields))
    assert made.server == "pbx01"
    return made.action, made.fields


def refusal(action: str, who: Actor | None = None, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(RefusedError) as refused:
        live(action, who, **fields)
    return refused.value.code, refused.value.field


def test_what_a_user_may() -> None:
    own = "Local/101@t175-internal/n"
    assert live("originate", number="0891234") == (
        "Originate",
        {
            "Channel": own,
            "Exten": "0891234",
            "Context": "t175-internal",
            "Priority": "1",
            "CallerID": "101",
            "Account": "t175",
            "Async": "true",
        },
    )
    assert live("hangup", channel=ANNA) == ("Hangup", {"Channel": ANNA, "Cause": "16"})
    assert live("hangup", channel=BERT)[0] == "Hangup", "the other side of one's own call"
    place = {"Exten": "103", "Context": "t175-internal"}
    assert live("transfer", channel=ANNA, number="103") == ("BlindTransfer", {"Channel": ANNA, **place})
    assert live("transfer", channel=ANNA, number="103", attended=True) == ("Atxfer", {"Channel": ANNA, **place})
    assert live("redirect", channel=BERT, number="103") == ("Redirect", {"Channel": BERT, **place, "Priority": "1"})
    parked = {"Parkinglot": "t175-parking"}
    assert live("park", channel=BERT) == ("Park", {"Channel": BERT, **parked, "TimeoutChannel": ANNA})
    assert live("park", actor("supervisor"), channel=CARL) == ("Park", {"Channel": CARL, **parked}), "nobody to ring"
    taken = live("pickup", channel=CARL)[1]
    assert (taken["Channel"], taken["Application"], taken["Data"]) == (own, "PickupChan", CARL)
    assert live("queue_add", queue="sales") == (
        "QueueAdd",
        {"Queue": "t175-sales", "Interface": own, "StateInterface": "hint:101@t175-internal"},
    )
    assert live("queue_remove", queue="sales") == ("QueueRemove", {"Queue": "t175-sales", "Interface": own})
    assert live("queue_pause", paused=True, reason="lunch") == (
        "QueuePause",
        {"Interface": own, "Paused": "true", "Reason": "lunch"},
    )


def test_what_one_s_callers_meet_is_written_where_the_dialplan_reads_it() -> None:
    dnd, forward = (f"PRESENCE_STATE(CustomPresence:t175-{kind}-101)" for kind in ("dnd", "forward"))
    assert live("dnd", on=True) == ("Setvar", {"Variable": dnd, "Value": "dnd,dnd,"})
    assert live("dnd", on=False) == ("Setvar", {"Variable": dnd, "Value": "available,dnd,"})
    assert live("forward", number="103") == ("Setvar", {"Variable": forward, "Value": "xa,forward,103"})
    assert live("forward", number="") == ("Setvar", {"Variable": forward, "Value": "available,forward,"})


def test_what_a_user_may_not_and_a_supervisor_may() -> None:
    lead = actor("supervisor")
    for action, fields, field in (
        ("hangup", {"channel": CARL}, "channel"),
        ("redirect", {"channel": CARL, "number": "101"}, "channel"),
        ("park", {"channel": CARL}, "channel"),
        ("queue_add", {"queue": "sales", "extension": "103"}, "extension"),
        ("queue_pause", {"paused": False, "extension": "103"}, "extension"),
        ("dnd", {"on": True, "extension": "103"}, "extension"),
        ("forward", {"number": "101", "extension": "103"}, "extension"),
        ("listen", {"channel": CARL}, "action"),
        ("whisper", {"channel": CARL}, "action"),
    ):
        assert refusal(action, **fields) == ("not_allowed", field)
        live(action, lead, **fields)
    assert live("whisper", lead, channel=CARL)[1]["Data"] == f"{CARL},qEw"
    assert refusal("listen", lead, channel=ANNA) == ("not_allowed", "channel")


@pytest.mark.parametrize(
    ("action", "fields", "code", "field"),
    [
        ("originate", {}, "field_missing", "number"),
        ("originate", {"number": "12a"}, "bad_value", "number"),
        ("originate", {"number": "1", "channel": ANNA}, "field_refused", "channel"),
        ("originate", {"number": "1,2&PJSIP/x"}, "bad_value", "number"),
        ("hangup", {"channel": THEIRS}, "unknown_channel", "channel"),
        ("hangup", {"channel": "PJSIP/t175-annas0phone0"}, "unknown_channel", "channel"),
        ("hangup", {"channel": "/.*/"}, "unknown_channel", "channel"),
        ("pickup", {"channel": THEIRS}, "unknown_channel", "channel"),
        ("queue_add", {"queue": "secret"}, "unknown_queue", "queue"),
        ("queue_add", {"queue": "nowhere"}, "unknown_queue", "queue"),
        ("queue_pause", {"paused": True, "reason": "a\r\nSecret: b"}, "bad_value", "reason"),
        *(("queue_pause", {"paused": True, "reason": f"a{sign}b"}, "bad_value", "reason") for sign in ",;|"),
        ("dnd", {}, "field_missing", "on"),
        ("dnd", {"on": True, "extension": "999"}, "unknown_extension", "extension"),
        ("dnd", {"on": True, "number": "103"}, "field_refused", "number"),
        ("forward", {}, "field_missing", "number"),
        ("forward", {"number": "103", "extension": "201"}, "unknown_extension", "extension"),
        ("forward", {"number": "101"}, "bad_value", "number"),
        ("forward", {"number": "201"}, "unknown_extension", "number"),
        ("forward", {"number": "*78"}, "unknown_extension", "number"),
        ("forward", {"number": "103,x)=t176"}, "unknown_extension", "number"),
        ("forward", {"number": "102\r\nVariable: X"}, "unknown_extension", "number"),
        ("command", {}, "unknown_action", "action"),
    ],
)
def test_a_wrong_wish_is_refused_by_field(action: str, fields: dict[str, Any], code: str, field: str) -> None:
    assert refusal(action, **fields) == (code, field)


def test_without_an_extension_there_is_no_call() -> None:
    nobody = actor("administrator", None)
    assert refusal("originate", nobody, number="1") == ("no_extension", "action")
    assert refusal("queue_remove", nobody, queue="sales") == ("field_missing", "extension")
    assert refusal("dnd", nobody, on=True) == ("field_missing", "extension")
    assert live("hangup", nobody, channel=CARL)[0] == "Hangup"


OWN = "PJSIP/t175-annas0phone0"
TO = {"Exten": "1", "Context": "t175-internal"}


@pytest.mark.parametrize(
    ("action", "fields", "code", "field"),
    [
        ("Originate", {**TO, "Channel": "PJSIP/t176-somebody0000"}, "unknown_extension", "Channel"),
        ("Originate", {**TO, "Channel": "Local/101@t176-internal/n"}, "unknown_extension", "Channel"),
        ("Originate", {**TO, "Channel": "PJSIP/t175-berts0phone0"}, "not_allowed", "Channel"),
        ("Originate", {**TO, "Channel": OWN, "Context": "t176-internal"}, "not_allowed", "Context"),
        ("Originate", {"channel": OWN, "Application": "System", "Data": "id"}, "field_refused", "Application"),
        ("Originate", {"Variable": "X=1"}, "field_refused", "Variable"),
        ("Originate", {"Channel": "PJSIP/t175-annas0phone0", "CHANNEL": "x"}, "bad_field", "CHANNEL"),
        ("Originate", {"Channel": "PJSIP/t175-annas0phone0"}, "field_missing", "Exten"),
        ("Redirect", {"Channel": ANNA, "Exten": "1", "Context": "default", "Priority": "1"}, "not_allowed", "Context"),
        ("Redirect", {"Channel": ANNA, "ExtraChannel": THEIRS}, "field_refused", "ExtraChannel"),
        (
            "QueueAdd",
            # As Asterisk keeps members: one more behind, another tenant's line.
            {"Queue": "t175-sales", "Interface": OWN, "MemberName": "A;0;|Local/101@t176-internal/n;0;0;B;"},
            "bad_value",
            "MemberName",
        ),
        ("QueueAdd", {"Queue": "t176-secret", "Interface": "PJSIP/t175-annas0phone0"}, "unknown_queue", "Queue"),
        ("Setvar", {"Variable": "PRESENCE_STATE(CustomPresence:t175-dnd-101)"}, "unknown_action", "Action"),
        ("DBPut", {"Family": "CustomPresence", "Key": "t175-dnd-101", "Val": "dnd"}, "unknown_action", "Action"),
        ("Command", {"Command": "core stop now"}, "unknown_action", "Action"),
        ("Login", {}, "unknown_action", "Action"),
        ("UpdateConfig", {}, "unknown_action", "Action"),
    ],
)  # fmt: skip
def test_raw_actions_are_held_to_the_same_list(action: str, fields: dict[str, str], code: str, field: str) -> None:
    with pytest.raises(RefusedError) as refused:
        decide(actor(), action, fields)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_raw_action_that_may_be_keeps_its_headers_and_their_order() -> None:
    fields = {"Exten": "102", "Context": "t175-internal", "Priority": "1", "channel": "PJSIP/t175-annas0phone0"}
    made = decide(actor(), "originate", fields)
    assert encode(made.action, made.fields) == (
        b"Action: Originate\r\nExten: 102\r\nContext: t175-internal\r\nPriority: 1\r\n"
        b"Channel: Local/101@t175-internal/n\r\nCallerID: 101\r\nAsync: true\r\n\r\n"
    )


@pytest.mark.parametrize("written", [OWN, "Local/101@t175-internal", "Local/101@t175-internal/n"])
def test_what_rings_is_the_line_whose_dialplan_follows_no_forward_of_a_phone(written: str) -> None:
    line, queue = "Local/101@t175-internal/n", {"Queue": "t175-sales"}
    sent = decide(actor(), "Originate", {**TO, "Channel": written}).fields
    assert (sent["Channel"], sent["CallerID"]) == (line, "101")
    member = {**queue, "Interface": line}
    assert decide(actor(), "QueueRemove", {**queue, "Interface": written}).fields == member
    with_state = {**member, "StateInterface": "hint:101@t175-internal"}
    assert decide(actor(), "QueueAdd", {**queue, "Interface": written}).fields == with_state
    of_a_device = {"StateInterface": OWN}
    assert decide(actor(), "QueueAdd", {**queue, "Interface": written, **of_a_device}).fields == member | of_a_device


@pytest.mark.parametrize("written", [{}, {"Async": "false"}, {"ASYNC": "0"}, {"async": "yes"}])
def test_no_call_keeps_the_connection_that_all_tenants_share_waiting(written: dict[str, str]) -> None:
    """Without Async, Asterisk tells nobody anything until the phone has answered."""
    assert decide(actor(), "Originate", {**TO, "Channel": OWN, **written}).fields["Async"] == "true"
    lead = actor("supervisor")
    for action in ("originate", "pickup", "listen", "whisper"):
        _, fields = live(action, lead, **({"number": "102"} if action == "originate" else {"channel": CARL}))
        assert fields["Async"] == "true"


VALUES = st.one_of(
    st.sampled_from(
        [
            ANNA, BERT, CARL, THEIRS, "101", "103", "201", "1", "true", "t175-sales", "t176-secret", "t175-internal",
            "sales", "t176-internal",
            "Local/101@t175-internal/n", "Local/101@t176-internal/n", "PJSIP/t175-annas0phone0",
            "PJSIP/t176-somebody0000", "t176-parking", "t176", "hint:101@t176-internal", "x\r\nChannel: t176-x",
            "PJSIP/t175-annas0phone0&PJSIP/t176-somebody0000", "secret", "../t176-secret",
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip
FREE_TEXT = {"MemberName", "Reason"}
HEADERS = st.sampled_from(sorted({name for rule in RULES.values() for name in rule.fields} | {"Variable", "Data"}))


@settings(max_examples=600, deadline=None)
@given(
    role=st.sampled_from(["user", "supervisor", "administrator", "operator"]),
    action=st.sampled_from([*RULES, "command", "getvar"]),
    fields=st.dictionaries(HEADERS, VALUES, max_size=5),
)
def test_no_raw_action_names_another_tenant(role: str, action: str, fields: dict[str, str]) -> None:
    try:
        made = decide(actor(role), action, fields)
    except RefusedError:
        return
    frame = encode(made.action, {k: v for k, v in made.fields.items() if k not in FREE_TEXT}).decode()
    assert "t176" not in frame
    assert encode(made.action, made.fields).count(b"\r\n") == len(made.fields) + 2


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "number": VALUES,
        "channel": VALUES,
        "queue": VALUES,
        "extension": st.sampled_from(["101", "103", "201", "999"]),
        "on": st.booleans(),
        "paused": st.booleans(),
        "reason": VALUES,
        "attended": st.booleans(),
    },
)


@settings(max_examples=600, deadline=None)
@given(role=st.sampled_from(["user", "supervisor"]), action=st.sampled_from(sorted(PHRASES)), fields=FIELDS)
def test_no_wish_of_a_page_names_another_tenant(role: str, action: str, fields: dict[str, Any]) -> None:
    try:
        made = order(actor(role), ActionMessage.model_validate({"action": action, **fields}))
    except (RefusedError, ValueError):
        return
    frame = encode(made.action, {k: v for k, v in made.fields.items() if k not in FREE_TEXT}).decode()
    assert "t176" not in frame
    if made.action == "Setvar":
        assert re.fullmatch(r"PRESENCE_STATE\(CustomPresence:t175-(dnd|forward)-10[123]\)", made.fields["Variable"])
        assert re.fullmatch(r"(available|dnd|xa),(dnd|forward),(10[123])?", made.fields["Value"])
