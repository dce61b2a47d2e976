"""Two phones, the PBX and two tenants' browsers: a call from the first ring to the last colour."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lab.cluster import Cluster
from lab.errors import LabError
from lab.phones.phone import Account
from tests.conftest import LogIn, MakePhone

ROSSI, VERDI = 175, 176


def becomes(page: Page, number: str, state: str, *, seconds: float = 60) -> None:
    """Wait until an extension's tile on the live grid shows a state."""
    tile = page.locator(f'[data-extension="{number}"]')
    expect(tile).to_have_attribute("data-state", state, timeout=seconds * 1000)


RECORD_STATES = """() => {
  window.seen = {};
  for (const tile of document.querySelectorAll('[data-extension]')) {
    const states = window.seen[tile.dataset.extension] = [tile.dataset.state];
    new MutationObserver(() => states.push(tile.dataset.state)).observe(tile, {attributeFilter: ['data-state']});
  }
}"""


def changes(page: Page, number: str) -> list[str]:
    """Return the states that a tile has shown since RECORD_STATES, without repetitions."""
    seen: list[str] = page.evaluate("number => window.seen[number]", number)
    return [state for index, state in enumerate(seen) if index == 0 or state != seen[index - 1]]


def test_a_call_is_seen_by_its_tenant_alone(
    cluster: Cluster, make_phone: MakePhone, log_in: LogIn, images_folder: Path
) -> None:
    accounts = cluster.accounts(ROSSI)
    caller, callee = make_phone("caller", accounts["101"]), make_phone("callee", accounts["102"])
    rossi, verdi = log_in("admin@rossi.example"), log_in("admin@verdi.example")
    address = rossi.url

    caller.register()
    callee.register()
    for number in ("101", "102"):
        becomes(rossi, number, "free")
    becomes(verdi, "101", "unregistered")
    rossi.evaluate(RECORD_STATES)
    verdi.evaluate(RECORD_STATES)

    answered = callee.answer(ring=2)
    placed = caller.call("102", talk=4)
    becomes(rossi, "102", "ringing")
    rossi.screenshot(path=images_folder / "panel-ringing.png")
    becomes(rossi, "102", "busy")
    becomes(rossi, "101", "busy")
    rossi.screenshot(path=images_folder / "panel-call.png")
    placed.wait()
    answered.wait()
    for number in ("101", "102"):
        becomes(rossi, number, "free")

    assert changes(rossi, "102") == ["free", "ringing", "busy", "free"]
    assert changes(rossi, "101")[-2:] == ["busy", "free"]
    assert rossi.url == address
    assert changes(verdi, "101") == ["unregistered"]
    assert changes(verdi, "102") == ["unregistered"]
    assert min(caller.received, callee.received) > 100, "audio must pass both ways: some 133 packets in 4 s"

    caller.register(expires=0)
    becomes(rossi, "101", "unregistered")


def test_a_wrong_password_is_refused(cluster: Cluster, make_phone: MakePhone) -> None:
    account = cluster.accounts(ROSSI)["101"]
    phone = make_phone("wrong", Account(account.endpoint, "x" * 32))
    with pytest.raises(LabError, match="register failed"):
        phone.register()
    assert account.endpoint not in cluster.ssh("pbx01", "asterisk -rx 'pjsip show contacts'")


def test_the_other_tenants_extension_cannot_be_called(cluster: Cluster, make_phone: MakePhone) -> None:
    """Both tenants have an extension 101; a number leads to one's own or nowhere, a context is no number."""
    ours, theirs = cluster.accounts(ROSSI), cluster.accounts(VERDI)
    caller, victim = make_phone("caller", ours["102"]), make_phone("victim", theirs["101"])
    caller.register()
    victim.register()
    rings = victim.answer(ring=0)
    for number in ("101", "101@t176-internal", theirs["101"].endpoint, "t176-internal"):
        with pytest.raises(LabError, match="call failed"):
            caller.call(number, talk=1).wait(40)
    assert rings.process.poll() is None, "the other tenant's phone must not have rung"
    rings.phone.stop()
