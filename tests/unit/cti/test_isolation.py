"""Nothing of one tenant ever reaches another: any events of Asterisk's own list, through the whole proxy.

``data/asterisk-events.json`` is that list: every event that the documentation of Asterisk 22.10 (``core-en_US.xml``)
names, with its fields.
"""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from centralino.cti.ami.message import parse
from centralino.cti.ami.splitter import Splitter
from centralino.cti.boards import Boards
from centralino.cti.exchange import Exchange
from centralino.cti.tenancy import FREE_TEXT, OWNERS, tenant_of_event
from centralino.cti.web.feeds import Feeds

EVENTS: dict[str, list[str]] = json.loads(Path(__file__).with_name("data").joinpath("asterisk-events.json").read_text())
# Two that Asterisk sends and its documentation leaves out, or without their fields.
CHANNEL = EVENTS["Newchannel"]
EVENTS |= {"Newexten": [*CHANNEL, "Extension", "Application", "AppData"], "Rename": ["Channel", "Newname", "Uniqueid"]}

CHANNELS = [
    "PJSIP/{}-annas0phone0-00000001",
    "PJSIP/{}-berts0phone0-00000002",
    "PJSIP/{}-annas0phone0-00000001<ZOMBIE>",
    "Local/101@{}-internal-00000001;2",
    "Surrogate/PJSIP/{}-annas0phone0-00000001",
    "PJSIP/carrier-00000003",
    "",
]
NAMES = [
    "{}-internal",
    "{}-sales",
    "{}",
    "101@{}-voicemail",
    "{}-annas0phone0",
    "Local/101@{}-internal/n",
    "default",
    "",
]
TEXTS = ["PJSIP/{}-annas0phone0,30", "x=({}-y)", "PJSIP/a&PJSIP/{}-b", "hint:101@{}-internal", "{}", "1", "", "6"]
NUMBERS = ["1", "2", "101", "6"]
PRESENTITIES = ["CustomPresence:{}-dnd-101", "CustomPresence:{}-forward-101", "CustomPresence:101", "{}-dnd-101", ""]


def values(field: str) -> st.SearchStrategy[str]:
    """Return what may stand in a field, ``{}`` where a tenant is named."""
    if field in FREE_TEXT:
        return st.sampled_from(["Anna", "101", "<unknown>", ""])
    if field.endswith(("Channel", "Newname", "Device", "Peer")):
        return st.sampled_from(CHANNELS)
    if field == "Presentity":
        return st.sampled_from(PRESENTITIES)
    if field.endswith(("Uniqueid", "Linkedid", "Position", "Status", "State", "ParkingSpace")):
        return st.sampled_from(NUMBERS)
    if field.endswith(("Context", "Queue", "Conference", "Parkinglot", "Mailbox", "AOR", "Name", "Code", "Interface")):
        return st.sampled_from(NAMES)
    return st.sampled_from(TEXTS)


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return an event; mostly of one tenant, for what names both is too easily nobody's."""
    name = draw(st.sampled_from(sorted(EVENTS)))
    main = draw(st.sampled_from(["t175", "t176"]))
    other = draw(st.sampled_from(["t175", "t176"]))
    odd = draw(st.sampled_from([None, *EVENTS[name]]))
    return name, {
        field: draw(values(field)).replace("{}", other if field == odd else main)
        for field in EVENTS[name]
        if field not in {"ActionID", "Event"} and draw(st.integers(0, 5))
    }


def frame(name: str, fields: dict[str, str]) -> bytes:
    lines = [f"Event: {name}", *(f"{field}: {value}" for field, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@settings(max_examples=600, deadline=None)
@given(made=events())
def test_an_event_is_decided_for_one_tenant_or_none(made: tuple[str, dict[str, str]]) -> None:
    name, fields = made
    (whole,) = Splitter().feed(frame(name, fields))
    tenant = tenant_of_event(parse(whole))
    if tenant is None:
        return
    assert name in OWNERS
    other = {175: "t176", 176: "t175"}[tenant]
    assert not [field for field, value in fields.items() if other in value]
    assert [field for field in OWNERS[name] if f"t{tenant}" in fields.get(field, "")]


def test_every_kind_of_event_that_may_pass_does_pass() -> None:
    """Guard the test above: with one tenant's names alone, all rules let something through."""
    for name, owners in OWNERS.items():
        fields = {header: f"PJSIP/t175-annas0phone0-{i:08}" for i, header in enumerate(owners)}
        fields |= {
            h: "t175-x" for h in ("Queue", "Context", "Conference", "Parkinglot", "AOR", "EndpointName") if h in owners
        }
        fields |= {h: "101@t175-voicemail" for h in ("Mailbox",) if h in owners}
        fields |= {h: "CustomPresence:t175-dnd-101" for h in ("Presentity",) if h in owners}
        (whole,) = Splitter().feed(frame(name, fields))
        assert tenant_of_event(parse(whole)) == 175, name


class Browser:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


class Pbx:
    server = SimpleNamespace(name="pbx01")

    def send(self, *_: Any) -> str:
        return "centralino-0"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=st.lists(events(), max_size=25))
def test_no_story_tells_a_tenant_of_another(story: list[tuple[str, dict[str, str]]]) -> None:
    async def scene() -> None:
        boards = Boards()
        feeds = Feeds(boards, {"pbx01": 1})
        exchange = Exchange(boards, feeds)
        pbx: Any = Pbx()
        exchange.connected(pbx)
        readers = {tenant: Browser() for tenant in (175, 176)}
        for tenant, reader in readers.items():
            feeds.join(tenant, "live", reader)
            feeds.join(tenant, "amiws", reader)
        splitter = Splitter()
        for name, fields in story:
            exchange.received(pbx, [parse(whole) for whole in splitter.feed(frame(name, fields))])
        await asyncio.sleep(0.003)
        exchange.disconnected(pbx)
        for tenant, other in ((175, b"t176"), (176, b"t175")):
            assert other not in readers[tenant].written

    asyncio.run(scene())
