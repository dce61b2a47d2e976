"""What the live page can do, done on a real Asterisk with phones that speak SIP."""

import pytest
from beside import Pbx
from live_page import LivePage, Open, Panel, Refused
from phones import Phones
from scenario_fixtures import within
from testinfra.host import Host


def test_a_call_from_ones_own_extension_and_its_end(page: Open) -> None:
    anna = page("101")
    anna.act("originate", number="102")
    channels = anna.until(anna.talk("101", "102"))
    anna.act("hangup", channel=channels["101"])
    anna.until(anna.quiet)


def test_hanging_up_the_other_side(page: Open, phones: Phones) -> None:
    anna = page("101")
    channels = anna.watches(phones, "101", "102")
    anna.act("hangup", channel=channels["102"])
    anna.until(anna.quiet)


def test_redirect_sends_one_side_elsewhere(page: Open, phones: Phones) -> None:
    anna = page("101")
    channels = anna.watches(phones, "101", "102")
    anna.act("redirect", channel=channels["102"], number="103")
    anna.until(anna.talk("102", "103"))


def test_a_blind_transfer_leaves_the_others_talking(page: Open, phones: Phones) -> None:
    anna = page("101")
    channels = anna.watches(phones, "101", "102")
    anna.act("transfer", channel=channels["101"], number="103")
    anna.until(anna.talk("102", "103"))


@pytest.mark.parametrize("mine", ["101", "102"])
def test_an_attended_transfer_asks_first(page: Open, phones: Phones, mine: str) -> None:
    """Either side may be the one that transfers: who called, and who was called."""
    me, other = page(mine), "102" if mine == "101" else "101"
    channels = me.watches(phones, "101", "102")
    me.act("transfer", channel=channels[mine], number="103", attended=True)
    me.until(lambda: me.shows["extensions"]["103"]["state"] == "busy")
    me.act("hangup", channel=channels[mine])
    me.until(me.talk(other, "103"))


@pytest.mark.parametrize("by", ["page", "phone"])
def test_a_parked_call_waits_and_is_taken(page: Open, phones: Phones, by: str) -> None:
    anna, carl = page("101"), page("103")
    channels = anna.watches(phones, "101", "102")
    anna.act("park", channel=channels["102"])
    space = carl.until(lambda: next(iter(carl.shows["parked"]), None))
    assert carl.shows["parked"][space]["extension"] == "102"
    if by == "page":
        carl.act("originate", number=f"*85{space}")
    else:
        phones.call("103", f"*85{space}")
    carl.until(lambda: not carl.shows["parked"] and carl.talk("102", "103")())
    carl.until(lambda: len(carl.shows["calls"]) == 1)  # who parked it hears the space's number first


@pytest.mark.usefixtures("short_parking")
def test_a_parked_call_comes_back_to_who_parked_it_and_nobody_else(page: Open, phones: Phones) -> None:
    anna = page("101")
    channels = anna.watches(phones, "101", "102")
    phones.diverts("101", "103")  # nobody is there
    anna.act("park", channel=channels["102"])
    space = anna.until(lambda: next(iter(anna.shows["parked"]), None))
    began = anna.shows["parked"][space]["since"]
    again = anna.until(lambda: next((p for p in anna.shows["parked"].values() if p["since"] > began + 2000), None))
    assert again["extension"] == "102", "he waits again"
    phones.diverts("101")
    anna.until(anna.talk("101", "102"))


def test_a_phone_holds_a_call_and_takes_it_back(page: Open, phones: Phones) -> None:
    anna = page("101")
    phones.call_and_hold("101", "102")
    anna.until(anna.held("101", "102"))
    anna.until(lambda: anna.shows["extensions"]["102"]["state"] == "held")  # who is blue hears the music
    assert anna.shows["extensions"]["101"]["state"] == "busy"
    anna.until(anna.talk("101", "102"))
    anna.until(lambda: anna.shows["extensions"]["102"]["state"] == "busy")


def test_a_colleagues_ringing_call_is_picked_up(page: Open, phones: Phones) -> None:
    bert = page("102")
    phones.rings("103")
    phones.call("101", "103")
    channel = bert.until(bert.rings("103"))
    bert.act("pickup", channel=channel)
    bert.until(bert.talk("101", "102"))


def test_a_proxy_that_comes_later_finds_a_call_as_one(
    page: Open, phones: Phones, host: Host, panel: Panel, address: str
) -> None:
    bert = page("102")
    phones.rings("103")
    phones.call("101", "103")
    bert.act("pickup", channel=bert.until(bert.rings("103")))
    bert.until(bert.talk("101", "102"))
    host.check_output("systemctl restart centralino-cti")
    with LivePage(address, panel.token(175, extension="102")) as again:
        again.until(again.talk("101", "102"))
        assert len(again.shows["calls"]) == 1


def test_a_proxy_that_comes_later_finds_who_holds_a_call(
    page: Open, phones: Phones, host: Host, panel: Panel, address: str
) -> None:
    anna = page("101")
    phones.call_and_hold("101", "102")
    before = anna.until(anna.held("101", "102"))
    host.check_output("systemctl restart centralino-cti")
    with LivePage(address, panel.token(175, extension="101")) as again:
        assert again.until(again.held("101", "102")) == before
        again.until(again.talk("101", "102"))


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


def test_callers_wait_in_a_queue_until_an_agent_comes(page: Open, phones: Phones) -> None:
    anna = page("101")

    def waiting() -> list[str]:
        return [caller["number"] for caller in anna.shows["queues"]["sales"]["waiting"]]

    for callers in (["102"], ["102", "103"]):
        phones.call(callers[-1], "800")
        anna.until(lambda callers=callers: waiting() == callers)
    anna.act("queue_add", queue="sales")
    channels = anna.until(anna.talk("101", "102"))
    anna.until(lambda: waiting() == ["103"])
    anna.act("hangup", channel=channels["102"])
    anna.until(anna.talk("101", "103"))
    anna.until(lambda: waiting() == [])
    anna.act("queue_remove", queue="sales")


def test_a_proxy_that_comes_later_finds_who_waits_and_since_when(
    page: Open, phones: Phones, host: Host, panel: Panel, address: str
) -> None:
    def waiting(page: LivePage) -> dict[str, int]:
        queues = page.shows.get("queues", {})
        return {caller["number"]: caller["since"] for caller in queues.get("sales", {"waiting": ()})["waiting"]}

    anna = page("101")
    phones.call("102", "800")
    before = anna.until(lambda: waiting(anna))
    host.check_output("systemctl restart centralino-cti")
    with LivePage(address, panel.token(175, extension="101")) as again:
        after = again.until(lambda: waiting(again))
    assert after.keys() == before.keys() == {"102"}
    assert abs(after["102"] - before["102"]) < 2000, "Asterisk tells whole seconds"


@pytest.mark.parametrize("action", ["listen", "whisper"])
def test_a_supervisor_listens_until_the_call_ends(page: Open, phones: Phones, pbx: Pbx, action: str) -> None:
    carl = page("103", "supervisor")
    channels = carl.watches(phones, "101", "102")
    carl.act(action, channel=channels["101"])
    assert within(10, lambda: "ChanSpy" in pbx.command("core show channels concise"))
    carl.until(lambda: carl.shows["extensions"]["103"]["state"] == "busy")
    carl.act("hangup", channel=channels["101"])
    carl.until(carl.quiet)
