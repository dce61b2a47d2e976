"""The panel that signs the tests' tokens, and a tenant's phones and pages."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from beside import Pbx
from live_page import LivePage, Open, Panel, asterisk
from phones import Phones
from scenario_fixtures import within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3]))

from centralino.asterisk.render import render
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

KEYS = "/var/lib/centralino/cti/keys.json"
RELEASE = "/var/lib/centralino/agent/current"
SECRET = "Wq8Zk3Nv6Rt1Xm5Bp9Lc"  # noqa: S105 - the scenario's own
NUMBERS = ("101", "102", "103")
QUEUES = """
[t175-sales]
strategy = ringall
timeout = 30
"""
QUEUE_NUMBER = """
[t175-internal](+)
exten => 800,1,Answer()
same => n,Queue(t175-sales)
"""
HINTS = """
[t175-internal]
exten => 101,hint,Custom:first
exten => 102,hint,Custom:second
[t176-internal]
exten => 101,hint,Custom:other
"""


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
def pbx(host: Host) -> Pbx:
    """Return the PBX that the role has made; ``test_second_pbx.py`` has the same tests ask another."""
    return Pbx(RELEASE, lambda command: asterisk(host, command))


@pytest.fixture(scope="module")
def phones(host: Host, pbx: Pbx) -> Iterator[Phones]:
    """Return three extensions' phones, registered at an Asterisk that runs a release."""
    files = render(snapshot()).files | {"queues.conf": QUEUES}
    files["extensions.conf"] += QUEUE_NUMBER
    host.check_output("mkdir -p %s", pbx.release)
    for name, text in files.items():
        host.check_output("printf %%s %s > %s", text, f"{pbx.release}/{name}")
    pbx.command("core reload")
    made = Phones(host, str(host.ansible.get_variables()["ansible_host"]), pbx.port)
    made.start((number, endpoint(number), SECRET) for number in NUMBERS)
    assert within(40, lambda: pbx.command("pjsip show contacts").count("Avail") == len(NUMBERS))
    yield made
    made.stop()
    host.check_output("rm -r %s", pbx.release)
    # A contact that is known already is asked for a sign of life within half a minute, a new one at once.
    pbx.command("database deltree registrar")
    pbx.command("core reload")


@pytest.fixture
def short_parking(host: Host, pbx: Pbx, phones: Phones) -> Iterator[None]:  # noqa: ARG001 - with their release
    """Let parked calls come back after four seconds."""
    file = f"{pbx.release}/res_parking.conf"
    whole = host.check_output(f"cat {file}")
    host.check_output(f"sed -i 's/^parkingtime *=.*/parkingtime = 4/' {file}")
    assert "parkingtime = 4" in host.check_output(f"cat {file}")
    pbx.command("module reload res_parking.so")
    yield
    host.check_output("printf '%%s\n' %s > %s", whole, file)
    pbx.command("module reload res_parking.so")


@pytest.fixture
def page(phones: Phones, pbx: Pbx, panel: Panel, address: str) -> Iterator[Open]:
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
        phones.diverts(number)
    phones.hang_up()
    pbx.command("channel request hangup all")


@pytest.fixture(scope="module")
def panel(host: Host) -> Panel:
    """Return a panel whose key the proxy knows although the panel is away."""
    made = Panel()
    with host.sudo():
        host.check_output("printf %%s %s > %s", made.key_set(), KEYS)
        host.check_output("chown centralino-cti: %s && systemctl restart centralino-cti", KEYS)
    return made


@pytest.fixture
def hints(host: Host) -> Iterator[None]:
    """Give Asterisk the hints of two tenants, as a release does."""
    with host.sudo():
        host.check_output("mkdir -p %s", RELEASE)
        host.check_output("printf %%s %s > %s", HINTS, f"{RELEASE}/extensions.conf")
        for name, state in (("first", "NOT_INUSE"), ("second", "UNAVAILABLE"), ("other", "NOT_INUSE")):
            asterisk(host, f"devstate change Custom:{name} {state}")
        asterisk(host, "dialplan reload")
    yield
    with host.sudo():
        host.check_output("rm -r %s", RELEASE)
        asterisk(host, "dialplan reload")
