"""Two Asterisks at one proxy: a tenant that is on both, one of which is stopped in the middle."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from beside import SECOND_MANAGER, Beside, second_pbx
from live_page import LivePage, Panel, asterisk, browser
from scenario_fixtures import listens
from testinfra.host import Host

DIALPLAN = """
[t175-internal]
exten => 201,hint,Custom:upstairs
"""


@pytest.fixture
def second(host: Host) -> Iterator[Beside]:
    """Return a second PBX with an extension that is busy."""
    made = second_pbx(host, {"extensions.conf": DIALPLAN})
    made.command("devstate change Custom:upstairs INUSE")
    time.sleep(2)  # it writes its database once a second, and is killed
    yield made
    made.remove()


def shows(page: LivePage, **wanted: str) -> Callable[[], bool]:
    """Return a look for states of extensions, ``x101="free"``."""
    return lambda: all(
        page.shows["extensions"].get(number.removeprefix("x"), {}).get("state") == state
        for number, state in wanted.items()
    )


def servers(address: str, token: str, extensions: int) -> dict[str, str]:
    """Return the PBX of each extension, which amiws' format names."""
    with browser(address, f"/?token={token}") as connection:
        told = [json.loads(connection.recv(timeout=10)) for _ in range(extensions)]
    return {message["data"]["Exten"]: f"{message['server_id']} {message['server_name']}" for message in told}


@pytest.mark.usefixtures("hints")
def test_one_stops_and_returns_while_the_other_goes_on(host: Host, panel: Panel, address: str, second: Beside) -> None:
    with LivePage(address, panel.token(175)) as page:
        page.until(shows(page, x101="free", x102="unregistered", x201="busy"))
        of = servers(address, panel.token(175), 3)
        assert of == {"101": "1 molecule-cti", "102": "1 molecule-cti", "201": "3 second"}
        second.stop()
        page.until(shows(page, x101="free", x201="unregistered"), seconds=2)
        end = time.monotonic() + 4  # some of its vain attempts to reach the second
        while time.monotonic() < end:
            for state, shown in (("RINGING", "ringing"), ("NOT_INUSE", "free")):
                asterisk(host, f"devstate change Custom:first {state}")
                page.until(shows(page, x101=shown, x201="unregistered"), seconds=0.5)
        second.start()
        listens(host, SECOND_MANAGER)
        page.until(shows(page, x101="free", x201="busy"), seconds=5)


@pytest.mark.usefixtures("hints")
def test_one_hangs_and_goes_on_while_the_other_is_not_delayed(
    host: Host, panel: Panel, address: str, second: Beside
) -> None:
    with LivePage(address, panel.token(175)) as page:
        page.until(shows(page, x101="free", x201="busy"))
        began = time.monotonic()
        second.signal("STOP")  # its connection stays open, and says nothing
        try:
            while time.monotonic() < began + 30:
                for state, shown in (("RINGING", "ringing"), ("NOT_INUSE", "free")):
                    asterisk(host, f"devstate change Custom:first {state}")
                    page.until(shows(page, x101=shown), seconds=0.5)
                if time.monotonic() > began + 12:
                    assert shows(page, x201="unregistered")(), "it is hung, and shown as if it were well"
        finally:
            second.signal("CONT")
        page.until(shows(page, x101="free", x201="busy"), seconds=5)
