"""The live page in a real browser, against a CTI proxy that speaks ``centralino.contract.live``."""

# ruff: noqa: ARG001, E501 - fixtures are asked for by their names

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from centralino.contract.live import (
    Agent,
    Call,
    CallParty,
    Conference,
    ExtensionState,
    Parked,
    Participant,
    Queue,
    State,
    Waiting,
)
from centralino.panel.models import Tenant
from tests.contract.panel.live_proxy import Proxy
from tests.ports import free_port
from tests.unit.panel import environment
from tests.unit.panel.samples import PASSWORD
from tests.unit.panel.test_services import verified


@pytest.fixture(scope="module")
def certificate() -> tuple[Path, Path]:
    certificate, key = environment.FOLDER / "localhost.crt", environment.FOLDER / "localhost.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def address(database: None, certificate: tuple[Path, Path]) -> Iterator[str]:
    """Run the panel over TLS for a browser."""
    with environment.tls_server(*certificate, free_port()) as address:
        yield address


@pytest.fixture
def proxy(certificate: tuple[Path, Path]) -> Iterator[Proxy]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)
    proxy = Proxy(tls)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("Chromium is missing, and the live page is tested in it: apt-get install chromium")
    # Playwright's loop runs in this thread, and Django takes that for a mistake of ours.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def logged_in(address: str, browser: Browser, login: str) -> Iterator[Page]:
    """Open somebody's live page; fail on anything that the browser complains about."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Security Policy" in message.text else None)
    page.goto(address)
    page.fill("input[name=username]", login)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(two_tenants: None, address: str, browser: Browser) -> Iterator[Page]:
    """Log in as Anna of 175, a user."""
    with logged_in(address, browser, "anna@175.example") as page:
        yield page


@pytest.fixture
def leader(two_tenants: None, address: str, browser: Browser) -> Iterator[Page]:
    """Log in as the administrator of 175, who has no extension."""
    with logged_in(address, browser, "admin@175.example") as page:
        yield page


def state(page: Page, number: str, state: str) -> None:
    """Wait for a tile's state, for longer than the page waits for a connection that does not come about."""
    expect(page.locator(f'[data-extension="{number}"]')).to_have_attribute("data-state", state, timeout=30_000)


def test_states_come_change_and_are_told_in_words(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    state(page, "102", "unregistered")
    token = proxy.paths.get(timeout=10).removeprefix("/live?token=")
    claims = verified(token)
    assert (claims.tenant, claims.extension) == (175, "101")
    anna = page.locator('[data-extension="101"]')
    expect(anna).to_contain_text("Free")
    expect(anna).to_contain_text("1 min")
    called: dict[State, str] = {"ringing": "Ringing", "busy": "Busy", "held": "On hold", "free": "Free"}
    for name, words in called.items():
        proxy.change("101", name)
        state(page, "101", name)
        expect(anna).to_contain_text(words)
    expect(page.locator("[data-chip=free] [data-count]")).to_have_text("1")
    expect(page.locator("[data-voice]")).to_contain_text("101 Anna of 175: Free", timeout=10_000)


def test_a_lost_connection_is_seen_and_mends_itself(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    expect(page.locator("[data-banner=lost]")).to_be_hidden()
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => window.seen.push(document.querySelector('[data-live]').dataset.live))
        .observe(document.querySelector('[data-live]'), {attributeFilter: ['data-live']}); }"""
    )
    first = proxy.paths.get(timeout=10)
    proxy.states["101"] = "busy"
    proxy.forget()
    proxy.drop()
    state(page, "101", "busy")
    assert page.evaluate("window.seen") == ["lost", "connected"]
    assert proxy.paths.get(timeout=10) != first
    proxy.stop()
    expect(page.locator("[data-banner=lost]")).to_be_visible()
    state(page, "101", "unknown")


def test_a_pbx_out_of_reach_is_not_shown_as_one_where_nobody_speaks(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    away, nobody, pill = (
        page.locator("[data-banner=away]"),
        page.locator(".activity-none"),
        page.locator("[data-status]"),
    )
    proxy.tell(extensions={"101": ExtensionState(state="unregistered", since=NOW)}, connected=False)
    expect(away).to_be_visible()
    expect(pill).not_to_have_text("Live")
    expect(nobody).to_be_hidden()
    proxy.change("102", "unregistered")  # what comes meanwhile says nothing of it
    proxy.connected = False
    proxy.forget()
    proxy.drop()
    state(page, "102", "unregistered")
    expect(away).to_be_visible()
    proxy.tell(extensions={"101": ExtensionState(state="free", since=NOW)}, connected=True)
    expect(away).to_be_hidden()
    expect(pill).to_have_text("Live")
    expect(nobody).to_be_visible()


def test_a_page_that_was_away_is_told_what_it_missed(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    proxy.change("102", "held")
    state(page, "102", "held")
    proxy.paths.get(timeout=10)
    proxy.drop()
    assert proxy.paths.get(timeout=10).endswith("&since=1")
    state(page, "101", "free")
    state(page, "102", "held")
    proxy.drop()
    proxy.change("101", "busy")
    assert proxy.paths.get(timeout=10).endswith("&since=1")
    state(page, "101", "busy")
    state(page, "102", "held")
    proxy.change("101", "ringing")
    state(page, "101", "ringing")


def test_a_page_in_the_background_stays_connected_and_one_that_slept_comes_back_at_once(
    page: Page, proxy: Proxy
) -> None:
    """Browsers let timers of hidden pages come once a minute at most; each such minute was taken for a sleep."""
    page.clock.install()
    page.reload()
    state(page, "101", "free")
    while not proxy.paths.empty():
        proxy.paths.get()
    for name in ("busy", "held", "free"):
        proxy.change("101", name)
        state(page, "101", name)
        page.clock.fast_forward(40_000)
    page.wait_for_timeout(1000)
    assert proxy.paths.empty()
    page.clock.fast_forward(3_600_000)
    assert "&since=3" in proxy.paths.get(timeout=10)
    state(page, "101", "free")


def test_a_panel_that_takes_the_question_for_a_token_and_does_not_answer_is_asked_again(
    page: Page, proxy: Proxy
) -> None:
    state(page, "101", "free")
    asked: list[Route] = []

    def answer(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    page.route("**/live/token", answer)
    proxy.drop()
    expect(page.locator("[data-banner=lost]")).to_be_visible()
    expect(page.locator("[data-banner=lost]")).to_be_hidden(timeout=30_000)
    assert len(asked) == 2


def test_a_hole_in_the_sequence_leads_to_a_new_snapshot(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    proxy.paths.get(timeout=10)
    proxy.change("101", "busy", skip=1)
    proxy.paths.get(timeout=10)
    state(page, "101", "busy")


def test_the_filter_finds_by_number_name_and_state(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    page.keyboard.press("/")
    page.keyboard.type("bru")
    expect(page.locator('[data-extension="101"]')).to_be_hidden()
    expect(page.locator('[data-extension="102"]')).to_be_visible()
    page.keyboard.press("Escape")
    page.click("[data-chip=busy]")
    expect(page.locator("[data-nothing]")).to_be_visible()
    proxy.change("102", "busy")
    expect(page.locator('[data-extension="102"]')).to_be_visible()
    expect(page.locator('[data-extension="101"]')).to_be_hidden()


def test_a_page_whose_session_ended_goes_to_the_log_in(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    page.context.clear_cookies()
    proxy.drop()
    page.wait_for_selector("input[name=password]")


def test_a_page_that_is_carried_out_of_its_networks_says_so_once_and_goes_on_when_it_is_back(
    page: Page, proxy: Proxy
) -> None:
    """From an address that is never banned, say: it loaded itself anew, and was refused, as fast as the panel answered."""
    state(page, "101", "free")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/live" in request.url else None)
    Tenant.objects.filter(id=175).update(networks=["192.0.2.0/24"])
    proxy.drop()
    expect(page.locator("[data-banner=refused]")).to_contain_text("ask your administrator")
    page.wait_for_timeout(1500)
    assert len(asked) == 1
    Tenant.objects.filter(id=175).update(networks=[])
    page.evaluate("window.dispatchEvent(new Event('online'))")
    state(page, "101", "free")
    expect(page.locator("[data-banner=refused]")).to_be_hidden()


NOW = int(time.time() * 1000)
ANNA = CallParty(extension="101", number="101", name="Anna", channel="PJSIP/t175-a-1", state="up")
CARRIER = CallParty(number="0891234", name="<img src=x onerror=alert(1)>")
BRUNO = CallParty(extension="102", number="102", name="Bruno", channel="PJSIP/t175-b-2", state="ringing")


def test_what_goes_on_stands_beside_the_tiles_and_goes_with_its_end(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    calls, queues = page.locator("[data-section=calls]"), page.locator("[data-section=queues]")
    expect(calls).to_contain_text("Nobody is on the phone.")
    expect(queues).to_be_hidden()
    proxy.tell(
        calls={"pbx01:1": Call(state="up", since=NOW - 65_000, parties=(ANNA, CARRIER))},
        queues={
            "sales": Queue(
                waiting=(Waiting(number="0897654", position=1, since=NOW),),
                agents=(Agent(name="Bruno", extension="102", state="free", paused=True, reason="lunch"),),
            )
        },
        parked={"701": Parked(number="0893", since=NOW)},
        conferences={"8000": Conference(participants=(Participant(extension="102", number="102", since=NOW),))},
    )
    # a caller's name is text, whatever it is
    expect(calls).to_contain_text("101 Anna → 0891234 <img src=x onerror=alert(1)>")
    expect(calls.locator("[data-clock]")).to_have_text(re.compile(r"^\d+:\d\d$"))
    expect(calls.locator("[data-state]")).to_have_attribute("data-state", "busy")
    expect(queues).to_contain_text("1. 0897654")
    expect(queues).to_contain_text("paused: lunch")
    expect(page.locator("[data-section=parked]")).to_contain_text("701: 0893")
    expect(page.locator("[data-section=conferences]")).to_contain_text("8000")
    proxy.tell(calls={"pbx01:1": None}, queues={"sales": None}, parked={"701": None}, conferences={"8000": None})
    expect(calls).to_contain_text("Nobody is on the phone.")
    expect(queues).to_be_hidden()


def test_what_goes_on_is_forgotten_with_the_connection_and_resumed(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    calls = page.locator("[data-section=calls]")
    proxy.tell(calls={"pbx01:1": Call(state="up", since=NOW, parties=(ANNA, CARRIER))})
    expect(calls).to_contain_text("0891234")
    proxy.drop()  # it comes back, and nothing was missed
    expect(page.locator("[data-live]")).to_have_attribute("data-live", "connected")
    expect(calls).to_contain_text("0891234")
    proxy.stop()
    expect(page.locator("[data-banner=lost]")).to_be_visible()
    expect(calls).not_to_contain_text("0891234")


def test_a_person_calls_hangs_up_and_picks_up(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    expect(page.locator("[data-call]")).to_have_count(1)  # not oneself
    page.locator("[data-call='102']").focus()
    page.keyboard.press("Enter")
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.number) == ("originate", "102")
    proxy.tell(calls={"pbx01:1": Call(state="up", since=NOW, parties=(ANNA, CARRIER))})
    page.get_by_role("button", name="Hang up").click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.channel) == ("hangup", ANNA.channel)
    proxy.tell(calls={"pbx01:1": None, "pbx01:2": Call(state="ringing", since=NOW, parties=(CARRIER, BRUNO))})
    page.get_by_role("button", name="Pick up").click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.channel) == ("pickup", BRUNO.channel)


def test_a_person_parks_whom_he_talks_to_and_takes_who_is_parked(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    talking = BRUNO.model_copy(update={"state": "up"})
    proxy.tell(calls={"pbx01:1": Call(state="up", since=NOW, parties=(ANNA, talking))})
    page.get_by_role("button", name="Park").click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.channel) == ("park", BRUNO.channel)
    proxy.tell(calls={"pbx01:1": None}, parked={"701": Parked(extension="102", number="102", since=NOW)})
    page.get_by_role("button", name="Take").click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.number) == ("originate", "*85701")


def test_a_person_says_what_his_callers_meet_and_all_see_it(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    tile, form = page.locator('[data-extension="101"]'), page.locator("[data-wishes]")
    dnd, stop = form.get_by_role("button", name="Do not disturb"), form.get_by_role("button", name="Stop forwarding")
    expect(tile.locator("[data-wish]")).to_be_hidden()
    expect(dnd).to_have_attribute("aria-pressed", "false")
    expect(stop).to_be_hidden()
    dnd.click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.on, asked.extension) == ("dnd", True, "101")
    form.get_by_label("Forward to number").fill("102")
    page.keyboard.press("Enter")
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.number, asked.extension) == ("forward", "102", "101")
    expect(form.get_by_label("Forward to number")).to_have_value("")
    proxy.tell(extensions={"101": ExtensionState(state="free", since=NOW, dnd=True, forward="102")})
    expect(tile).to_contain_text("Do not disturb, Forwarded to 102")
    expect(page.locator("[data-voice]")).to_contain_text("Free, Do not disturb, Forwarded to 102", timeout=10_000)
    expect(dnd).to_have_attribute("aria-pressed", "true")
    expect(stop).to_have_text("Stop forwarding to 102")
    dnd.click()
    assert proxy.asked.get(timeout=10).on is False
    stop.click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.number) == ("forward", "")
    proxy.change("101", "busy")
    expect(tile.locator("[data-wish]")).to_be_hidden()
    form.get_by_label("Forward to number").fill("*78")
    page.keyboard.press("Enter")
    expect(form.locator("input:invalid")).to_have_count(1)
    proxy.stop()
    expect(dnd).to_be_disabled()


def test_who_leads_chooses_whose_calls_to_forward(leader: Page, proxy: Proxy) -> None:
    state(leader, "102", "unregistered")
    proxy.tell(extensions={"102": ExtensionState(state="free", since=NOW, dnd=True)})
    form = leader.locator("[data-wishes]")
    dnd = form.get_by_role("button", name="Do not disturb")
    expect(dnd).to_have_attribute("aria-pressed", "false")
    form.get_by_label("Extension").select_option("102")
    expect(dnd).to_have_attribute("aria-pressed", "true")
    form.get_by_label("Forward to number").fill("101")
    form.get_by_role("button", name="Forward", exact=True).click()
    asked = proxy.asked.get(timeout=10)
    assert (asked.action, asked.number, asked.extension) == ("forward", "101", "102")


def test_a_refusal_is_read_and_a_user_is_offered_no_more_than_he_may(page: Page, proxy: Proxy) -> None:
    state(page, "101", "free")
    proxy.refusal = "this call is another's: ask a supervisor"
    page.locator("[data-call='102']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="ask a supervisor")).to_be_visible()
    others = BRUNO.model_copy(update={"state": "up"})
    proxy.tell(calls={"pbx01:2": Call(state="up", since=NOW, parties=(CARRIER, others))})
    expect(page.locator("[data-section=calls]")).to_contain_text("102 Bruno")
    expect(page.locator("[data-section=calls] button")).to_have_count(0)


def test_a_button_stays_the_same_while_other_things_change_around_it(leader: Page, proxy: Proxy) -> None:
    """In a busy queue something changes between a person's press and release, and between two keys."""
    state(leader, "101", "free")
    bruno = Agent(name="Bruno", extension="102", state="free")
    anna = Agent(name="Anna", extension="101", state="free")

    def tell(callers: int, *agents: Agent) -> None:
        waiting = tuple(Waiting(number=f"089{n}", position=n + 1, since=NOW + n) for n in range(callers))
        proxy.tell(queues={"sales": Queue(waiting=waiting, agents=agents)})
        expect(leader.locator("[data-section=queues] .line")).to_have_count(callers + len(agents))

    tell(1, anna, bruno)
    line = leader.locator("[data-section=queues] .line", has_text="102 Bruno")
    box = line.get_by_role("button", name="Pause").bounding_box()
    assert box is not None
    leader.mouse.move(box["x"] + 5, box["y"] + 5)
    leader.mouse.down()
    tell(1, anna.model_copy(update={"state": "busy"}), bruno)
    colleague = leader.locator("[data-section=queues] .line", has_text="101 Anna")
    expect(colleague).to_have_attribute("data-state", "busy")
    leader.mouse.up()
    assert proxy.asked.get(timeout=10).extension == "102"
    line.get_by_role("button", name="Pause").focus()
    tell(3, anna, bruno)
    tell(0, anna, bruno)
    expect(line.get_by_role("button", name="Pause")).to_be_focused()
    leader.keyboard.press("Enter")
    asked = proxy.asked.get(timeout=10)
    assert (asked.extension, asked.paused) == ("102", True)
    tell(0, anna, bruno.model_copy(update={"paused": True}))
    expect(line.get_by_role("button", name="Resume")).to_be_focused()
    leader.keyboard.press("Enter")
    asked = proxy.asked.get(timeout=10)
    assert (asked.extension, asked.paused) == ("102", False)
    tell(0, bruno)
    expect(line.get_by_role("button", name="Resume")).to_have_count(0)
