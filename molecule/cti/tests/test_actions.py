"""What the live page can do, done on a real Asterisk with phones that speak SIP."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_page import LivePage, Panel, Refused, asterisk
from phones import Phones
from scenario_fixtures import within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3]))

from centralino.asterisk.render import render
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

RELEASE = "/var/lib/centralino/agent/current"
SECRET = "Wq8Zk3Nv6Rt1Xm5Bp9Lc"  # noqa: S105 - the scenario's own
NUMBERS = ("101", "102", "103")
QUEUES = """
[t175-sales]
strategy = ringall
timeout = 30
"""
Open = Callable[..., LivePage]


def endpoint(number: str) -> str:
    return f"t175-phone{number}abcd"


def snapshot() -> Snapshot:
    extensions = tuple(
        Extension(
            number=number,
            name=f"Phone {number}",
            devices=(Device(endpoint=endpoint(number), secret=SECRET, transport="udp"),),
        )
        for number in NUMBERS
    )
    return Snapshot(pbx="molecule-cti", tenants=(Tenant(id=175, name="Rossi", extensions=extensions),))


@pytest.fixture(scope="module")
def phones(host: Host) -> Iterator[Phones]:
    """Return three extensions' phones, registered at an Asterisk that runs a release."""
    files = render(snapshot()).files | {"queues.conf": QUEUES}
    host.check_output("mkdir -p %s", RELEASE)
    for name, text in files.items():
        host.check_output("printf %%s %s > %s", text, f"{RELEASE}/{name}")
    asterisk(host, "core reload")
    made = Phones(host, str(host.ansible.get_variables()["ansible_host"]))
    made.start((number, endpoint(number), SECRET) for number in NUMBERS)
    assert within(40, lambda: host.check_output("asterisk -rx 'pjsip show contacts'").count("Avail") == len(NUMBERS))
    yield made
    made.stop()
    host.check_output("rm -r %s", RELEASE)
    asterisk(host, "core reload")


@pytest.fixture
def page(phones: Phones, host: Host, panel: Panel, address: str) -> Iterator[Open]:
    """Return a function that opens the live page of an extension's person; each begins with nobody on the phone."""
    with ExitStack() as stack:

        def opened(number: str, role: str = "user") -> LivePage:
            made = stack.enter_context(LivePage(address, panel.token(175, extension=number, role=role)))
            made.until(made.quiet)
            # Until the proxy has heard of the phones, it shows no extensions.
            made.until(
                lambda: {n: e["state"] for n, e in made.shows["extensions"].items()} == dict.fromkeys(NUMBERS, "free")
            )
            return made

        yield opened
    for number in NUMBERS:
        phones.rings(number, long=False)
    phones.hang_up()
    asterisk(host, "channel request hangup all")


def test_a_call_from_ones_own_extension_and_its_end(page: Open) -> None:
    anna = page("101")
    anna.act("originate", number="102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("hangup", channel=channels["101"])
    anna.until(anna.quiet)


def test_hanging_up_the_other_side(page: Open, phones: Phones) -> None:
    anna = page("101")
    phones.call("101", "102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("hangup", channel=channels["102"])
    anna.until(anna.quiet)


def test_redirect_sends_one_side_elsewhere(page: Open, phones: Phones) -> None:
    anna = page("101")
    phones.call("101", "102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("redirect", channel=channels["102"], number="103")
    anna.until(anna.talk("102", "103"))


def test_a_blind_transfer_leaves_the_others_talking(page: Open, phones: Phones) -> None:
    anna = page("101")
    phones.call("101", "102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("transfer", channel=channels["101"], number="103")
    anna.until(anna.talk("102", "103"))


@pytest.mark.parametrize("mine", ["101", "102"])
def test_an_attended_transfer_asks_first(page: Open, phones: Phones, mine: str) -> None:
    """Either side may be the one that transfers: who called, and who was called."""
    me, other = page(mine), "102" if mine == "101" else "101"
    phones.call("101", "102")
    channels = me.until(me.talk("101", "102"))
    me.act("transfer", channel=channels[mine], number="103", attended=True)
    me.until(lambda: me.shows["extensions"]["103"]["state"] == "busy")
    me.act("hangup", channel=channels[mine])
    me.until(me.talk(other, "103"))


def test_a_parked_call_waits_and_is_taken(page: Open, phones: Phones) -> None:
    anna, carl = page("101"), page("103")
    phones.call("101", "102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("park", channel=channels["102"])
    space = carl.until(lambda: next(iter(carl.shows["parked"]), None))
    assert carl.shows["parked"][space]["extension"] == "102"
    carl.act("originate", number=f"*85{space}")
    carl.until(lambda: not carl.shows["parked"] and carl.sees("102", "103"))


def test_a_colleagues_ringing_call_is_picked_up(page: Open, phones: Phones) -> None:
    bert = page("102")
    phones.rings("103")
    phones.call("101", "103")
    channel = bert.until(bert.rings("103"))
    bert.act("pickup", channel=channel)
    bert.until(bert.talk("101", "102"))


def test_a_queues_agent_comes_pauses_and_goes(page: Open) -> None:
    anna = page("101")

    def agents() -> list[tuple[str, bool]]:
        return [(agent["extension"], agent["paused"]) for agent in anna.shows["queues"]["sales"]["agents"]]

    anna.act("queue_add", queue="sales")
    anna.until(lambda: agents() == [("101", False)])
    anna.act("queue_pause", paused=True, reason="lunch")
    anna.until(lambda: agents() == [("101", True)])
    anna.act("queue_pause", queue="sales", paused=False)
    anna.until(lambda: agents() == [("101", False)])
    with pytest.raises(Refused, match="not_allowed"):
        anna.act("queue_remove", queue="sales", extension="102")
    anna.act("queue_remove", queue="sales")
    anna.until(lambda: agents() == [])


@pytest.mark.parametrize("action", ["listen", "whisper"])
def test_a_supervisor_listens_until_the_call_ends(page: Open, phones: Phones, host: Host, action: str) -> None:
    carl = page("103", "supervisor")
    phones.call("101", "102")
    channels = carl.until(carl.talk("101", "102"))
    carl.act(action, channel=channels["101"])
    assert within(10, lambda: "ChanSpy" in host.check_output("asterisk -rx 'core show channels concise'"))
    carl.until(lambda: carl.shows["extensions"]["103"]["state"] == "busy")
    carl.act("hangup", channel=channels["101"])
    carl.until(carl.quiet)
