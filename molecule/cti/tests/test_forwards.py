"""Do-not-disturb and forwards on a real Asterisk: set by page or phone, met by callers, kept over a restart."""

from collections.abc import Callable, Iterator

import pytest
from live_page import LivePage, Open, Refused
from phones import Phones
from testinfra.host import Host

BUSY, UNREACHABLE, NO_SUCH_NUMBER, FORBIDDEN = 17, 19, 1, 21
"""Causes of ITU-T Q.850, as a phone reads them from the SIP status."""


@pytest.fixture(autouse=True)
def nobody_wishes_anything(host: Host) -> Iterator[None]:
    """Take back what a test has set."""
    yield
    names = " ".join(f"t175-{kind}-{number}" for kind in ("dnd", "forward") for number in ("101", "102"))
    change = 'asterisk -rx "presencestate change CustomPresence:$name available"'
    host.check_output(f"for name in {names}; do {change}; done")


def wishes(page: LivePage, number: str, *, dnd: bool = False, forward: str | None = None) -> Callable[[], bool]:
    """Return a look for what calls to an extension meet."""

    def look() -> bool:
        shown = page.shows["extensions"].get(number, {})
        return (shown.get("dnd", False), shown.get("forward")) == (dnd, forward)

    return look


def test_who_is_not_to_be_disturbed_is_busy_and_can_call(page: Open, phones: Phones) -> None:
    bert = page("102")
    bert.act("dnd", on=True)
    bert.until(wishes(bert, "102", dnd=True))
    assert phones.refused("101", "102") == BUSY
    bert.act("originate", number="103")
    bert.until(bert.talk("102", "103"))
    phones.hang_up()
    bert.until(bert.quiet)
    bert.act("dnd", on=False)
    bert.until(wishes(bert, "102"))
    bert.watches(phones, "101", "102")


def test_a_forwarded_call_goes_on_and_never_round_in_a_circle(page: Open, phones: Phones) -> None:
    anna, lead = page("101"), page("103", "supervisor")
    anna.act("dnd", on=True)
    anna.act("forward", number="103")
    lead.until(wishes(lead, "101", dnd=True, forward="103"))
    phones.call("102", "101")
    anna.until(anna.talk("102", "103"))
    phones.hang_up()
    anna.until(anna.quiet)
    assert phones.refused("103", "101") == UNREACHABLE, "back to who calls"
    lead.act("forward", extension="102", number="101")
    lead.act("forward", extension="101", number="102")
    lead.until(wishes(lead, "102", forward="101"))
    assert phones.refused("103", "101") == UNREACHABLE, "from 101 to 102 and back"
    with pytest.raises(Refused, match="not_allowed"):
        anna.act("forward", extension="102", number="")
    with pytest.raises(Refused, match="unknown_extension"):
        anna.act("forward", number="*78")


def test_a_phone_sets_both_by_codes_for_itself_alone(page: Open, phones: Phones, host: Host) -> None:
    anna = page("101")
    phones.call("101", "*72103")
    anna.until(wishes(anna, "101", forward="103"))
    phones.call("101", "*78")
    anna.until(wishes(anna, "101", dnd=True, forward="103"))
    phones.call("101", "*73")
    anna.until(wishes(anna, "101", dnd=True))
    phones.call("101", "*79")
    anna.until(wishes(anna, "101"))
    assert phones.refused("101", "*72101") == NO_SUCH_NUMBER
    assert phones.refused("101", "*72555") == NO_SUCH_NUMBER
    anna.until(anna.quiet)
    channels = anna.watches(phones, "101", "102")
    anna.act("redirect", channel=channels["102"], number="*72101")
    anna.until(anna.quiet)
    assert "t175-forward-102" not in host.check_output("asterisk -rx 'database show CustomPresence' | grep xa || true")


@pytest.mark.parametrize("to", ["103", "Local%2F103%40t175-internal"])
def test_a_forward_of_the_phones_own_leads_nowhere(page: Open, phones: Phones, to: str) -> None:
    anna = page("101")
    phones.diverts("102", to)
    assert phones.refused("101", "102") == BUSY
    anna.until(anna.quiet)
    anna.act("originate", number="102")
    anna.until(anna.quiet)


def test_a_restart_of_asterisk_changes_nothing(page: Open, phones: Phones, host: Host) -> None:
    anna = page("101")
    anna.act("forward", number="103")
    page("102").act("dnd", on=True)
    anna.until(lambda: wishes(anna, "101", forward="103")() and wishes(anna, "102", dnd=True)())
    host.check_output("systemctl restart asterisk")
    anna.until(lambda: wishes(anna, "101")() and wishes(anna, "102")())
    anna.until(lambda: wishes(anna, "101", forward="103")() and wishes(anna, "102", dnd=True)())
    assert phones.refused("101", "102") == BUSY
    phones.hang_up()
