"""Two Asterisks at one proxy: a tenant that is on both, one of which is stopped in the middle."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from beside import Beside
from live_page import LivePage, Panel, asterisk, browser
from scenario_fixtures import within
from testinfra.host import Host

PORT = 5049
"""Of its manager interface, as in vars.yml."""
DIALPLAN = """
[t175-internal]
exten => 201,hint,Custom:upstairs
"""


@pytest.fixture
def second(host: Host, address: str) -> Iterator[Beside]:
    """Return a second PBX: the first one's manager interface on other ports, and an extension that is busy."""
    made = Beside(host, "test-second")
    manager = host.file("/etc/asterisk/manager.conf").content_string
    manager = manager.replace("port = 5038", "port = 5048").replace(":5039", f":{PORT}")
    made.set_up({"manager.conf": manager, "extensions.conf": DIALPLAN})
    made.start()
    assert within(20, lambda: answers(address))
    made.command("core waitfullybooted")
    made.command("devstate change Custom:upstairs INUSE")
    time.sleep(2)  # it writes its database once a second, and is killed
    yield made
    made.remove()


def answers(address: str) -> bool:
    """Tell whether the second PBX can be reached."""
    with suppress(OSError), socket.create_connection((address, PORT), timeout=1):
        return True
    return False


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
        assert within(20, lambda: answers(address))
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
