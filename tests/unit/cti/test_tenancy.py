"""Whose an event is: by example, and for any event that names two tenants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralino.cti.ami.message import Kind, Message
from centralino.cti.tenancy import FREE_TEXT, OWNERS, hint_of, tenant_of_event

OURS = "PJSIP/t175-abcdefgh1234-00000001"
THEIRS = "PJSIP/t176-abcdefgh1234-00000002"


def event(name: str, **headers: str) -> Message:
    return Message(Kind.EVENT, name, {"Event": name, **headers})


@pytest.mark.parametrize(
    ("message", "tenant"),
    [
        (event("Newchannel", Channel=OURS, Context="t175-internal", AccountCode="t175"), 175),
        (event("DialBegin", DestChannel=OURS), 175),
        (event("DialBegin", Channel=OURS, DestChannel=OURS), 175),
        (event("DeviceStateChange", Device="PJSIP/t175-abcdefgh1234", State="INUSE"), 175),
        (event("ContactStatus", AOR="t175-abcdefgh1234", EndpointName="t175-abcdefgh1234"), 175),
        (event("QueueCallerJoin", Queue="t175-sales", Channel=OURS), 175),
        (event("QueueMemberAdded", Queue="t175-sales", Interface="Local/101@t175-internal/n"), 175),
        (event("QueueMemberAdded", Queue="t175-sales", Interface="Local/101@t176-internal/n"), None),
        (event("MessageWaiting", Mailbox="101@t175-voicemail"), 175),
        (event("ExtensionStatus", Context="t175-internal", Exten="101"), 175),
        (event("Hangup", Channel=OURS, CallerIDName="t176-x"), 175),
        # two owners
        (event("DialBegin", Channel=OURS, DestChannel=THEIRS), None),
        (event("QueueCallerJoin", Queue="t175-sales", Channel=THEIRS), None),
        (event("Rename", Channel=OURS, Newname=THEIRS), None),
        # another's name anywhere but in a caller's own text
        (event("Newexten", Channel=OURS, AppData="PJSIP/t176-abcdefgh1234,30"), None),
        (event("Newchannel", Channel=OURS, AccountCode="t176"), None),
        (event("VarSet", Channel=OURS, Variable="BRIDGEPEER", Value=THEIRS), None),
        # nobody's
        (event("Newchannel", Channel="Local/101@t175-internal-00000001;1"), None),
        (event("BridgeEnter", Channel="Local/101@t175-internal-00000001;2", BridgeUniqueid="x"), None),
        (event("Newchannel", Channel=""), None),
        (event("Newchannel", Channel="PJSIP/trunk-00000001"), None),
        (event("Newchannel", Channel="PJSIP/t0175-x"), None),
        (event("Newchannel", Channel="PJSIP/t175x-y"), None),
        (event("Shutdown", Shutdown="Cleanly"), None),
        (event("FullyBooted"), None),
        (event("UserEvent", Channel=OURS), None),
        (Message(Kind.RESPONSE, "Newchannel", {"Channel": OURS}), None),
        (Message(Kind.EVENT, "Newchannel", {"Channel": OURS}, [("Channel", THEIRS), ("Channel", OURS)]), None),
    ],
)
def test_examples(message: Message, tenant: int | None) -> None:
    assert tenant_of_event(message) == tenant


NAMES = st.sampled_from(
    [
        "PJSIP/{}-abcdefgh1234-00000001",
        "{}-internal",
        "{}",
        "101@{}-voicemail",
        "Local/101@{}-internal-01;1",
        "x,{}-q,y",
    ]
)
HEADERS = st.sampled_from(
    sorted({header for owners in OWNERS.values() for header in owners} | {"AppData", "Value", "Context"})
)


@settings(max_examples=500, deadline=None)
@given(
    name=st.sampled_from([*OWNERS, "UserEvent", "Cdr", "BridgeCreate", "Unknown"]),
    headers=st.dictionaries(HEADERS, st.tuples(NAMES, st.sampled_from(["t175", "t176", "t17", "t1755"])), max_size=6),
    text=st.sampled_from(["", "t175-x", "t176-x"]),
)
def test_what_names_two_tenants_is_nobodys(name: str, headers: dict[str, tuple[str, str]], text: str) -> None:
    values = {header: form.format(tenant) for header, (form, tenant) in headers.items()}
    tenants = {tenant for _, tenant in headers.values()}
    decided = tenant_of_event(event(name, **values, CallerIDName=text))
    if decided is not None:
        assert tenants == {f"t{decided}"}, "nothing of another tenant's may reach this one"
        assert name in OWNERS


def test_owner_headers_are_no_free_text() -> None:
    for name, owners in OWNERS.items():
        assert not FREE_TEXT & owners.keys(), name


@pytest.mark.parametrize(
    ("context", "number"),
    [("t175-other", "101"), ("internal", "101"), ("t175-internal", "_1XX"), ("t175-internal", "")],
)
def test_other_hints_are_not_extensions(context: str, number: str) -> None:
    assert hint_of(event("ExtensionStatus", Context=context, Exten=number, Status="0")) is None
