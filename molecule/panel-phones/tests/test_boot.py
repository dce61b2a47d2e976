"""Two phones are taken out of their boxes: from the first DHCP question to a call with SRTP, and what strangers get."""

import array
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario_fixtures import within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parent))
from desk import TONE, Desk, cisco, yealink

URL = "https://phones.example.com/phones/"
TENANT = """
id: 175
name: Studio Medico Rossi
pbx: molecule-panel-phones
extensions:
  - {number: "101", name: Reception, devices: [{name: desk}]}
  - {number: "102", name: "Dr. Anna d'Rossi & Söhne", devices: [{name: desk}]}
"""
YEALINK, CISCO = "00:15:65:aa:bb:01", "00:1e:13:aa:bb:02"


def command(host: Host, text: str, given: str = "") -> str:
    """Run the ``centralino`` command."""
    return str(host.check_output(f"centralino {text} <<'END'\n{given}\nEND"))


@pytest.fixture(scope="module")
def credentials(host: Host) -> dict[str, dict[str, str]]:
    """Return each extension's device, with the tenant live on the PBX."""
    command(host, "tenant import -", TENANT)
    command(host, "apply --wait 120")
    return {number: devices[0] for number, devices in json.loads(command(host, "device credentials 175")).items()}


@pytest.fixture(scope="module")
def names(host: Host) -> Iterator[None]:
    """Answer the phones' questions for names, as a network's DNS server does."""
    host.run("systemctl stop phones-dns")
    server = "dnsmasq --keep-in-foreground --no-resolv --no-hosts --bind-interfaces --listen-address=192.0.2.1"
    host.check_output(f"systemd-run --quiet --collect --unit phones-dns {server} --address=/example.com/192.0.2.1")
    yield
    host.check_output("systemctl stop phones-dns")


@pytest.fixture(scope="module")
def desks(host: Host, credentials: dict[str, dict[str, str]], names: None) -> Iterator[tuple[Desk, Desk]]:
    """Boot a Yealink, whose DHCP client understands a URL, and a Cisco, which has to be pointed to it by TFTP."""
    del credentials, names
    for mac, model, number in ((YEALINK, "yealink-t54w", "101"), (CISCO, "cisco-spa504g", "102")):
        host.run(f"centralino phone remove {mac}")
        command(host, f"phone add 175 {mac} {model} {number}/desk")
    first, second = Desk(host, "phone-101", YEALINK), Desk(host, "phone-102", CISCO)

    url = first.lease("yealink")["server"]
    assert url == URL
    content = first.fetch(f"{url}{first.mac}.cfg")
    assert content is not None
    first.take(yealink(content))

    pointer = second.tftp(second.lease("LINKSYS SPA504G")["servers"].split()[0], "spa504g.cfg")
    rule = re.search("<Profile_Rule>(.*)</Profile_Rule>", pointer)
    assert rule is not None
    content = second.fetch(rule[1].replace("$MA", second.mac))
    assert content is not None
    second.take(cisco(content))

    yield first.start(), second.start()
    first.stop()
    second.stop()


def registered(host: Host, desk: Desk) -> bool:
    """Tell whether the PBX has a phone's contact, reaches it, and the phone's own words say that it came by TLS."""
    contacts = host.check_output("asterisk -rx 'pjsip show contacts'")
    reached = re.search(rf"{desk.account['user']}/.* Avail ", contacts)
    return reached is not None and "TLS 192.0.2.1:5061 -> " in desk.said()


def both_registered(host: Host, desks: tuple[Desk, Desk]) -> None:
    """Wait until both phones are reached."""
    for desk in desks:
        assert within(40, lambda desk=desk: registered(host, desk)), f"{desk.name} said: {desk.said()[-1500:]}"


def tone(samples: bytes, frequency: float, rate: int = 8000) -> float:
    """Return which part of a recording's energy one frequency has, 0 to 1 (Goertzel's algorithm)."""
    values = array.array("h", samples[: len(samples) // 2 * 2])
    factor = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for value in values:
        before, last = last, value + factor * last - before
    power = last * last + before * before - factor * last * before
    energy = sum(value * value for value in values) * len(values) / 2
    return power / energy if energy else 0.0


def purity(desk: Desk) -> list[float]:
    """Return how much of what a phone's loudspeaker plays is the tone that is spoken into the other, 0 to 1.

    One number for each of the last ten tenths of a second: a packet that comes late on a busy machine spoils its tenth.
    """
    sound = desk.heard()[-16_000:]
    sound = sound[len(sound) % 1_600 :]
    return [round(tone(sound[begin : begin + 1_600], TONE), 2) for begin in range(0, len(sound), 1_600)]


def test_each_phone_was_given_its_own_account(desks: tuple[Desk, Desk], credentials: dict[str, dict[str, str]]) -> None:
    for desk, number in zip(desks, ("101", "102"), strict=True):
        known = credentials[number]
        assert (desk.account["user"], desk.account["password"]) == (known["endpoint"], known["secret"])
        assert (desk.account["server"], desk.account["port"], desk.account["transport"]) == (
            "pbx.example.com",
            "5061",
            "tls",
        )


def test_they_register_over_tls_and_call_each_other_with_srtp(host: Host, desks: tuple[Desk, Desk]) -> None:
    caller = desks[0]
    both_registered(host, desks)
    caller.dial("102")
    assert within(20, lambda: "2 active channels" in host.check_output("asterisk -rx 'core show channels'"))
    # Each hears the other's tone, which nobody who has not the keys can decode.
    for desk in desks:
        clear = within(30, lambda desk=desk: sum(part > 0.9 for part in purity(desk)) >= 3)
        assert clear, f"{desk.name} heard {len(desk.heard())} bytes, {purity(desk)}, and said: {desk.said()[-1500:]}"
    caller.hang_up()
    for desk in desks:
        offers = re.findall(r"^m=audio \d+ (\S+)", desk.said(), re.MULTILINE)
        assert offers
        assert set(offers) == {"RTP/SAVP"}, "no media in clear is offered, by nobody"
        assert "SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)" in desk.said()


def test_a_call_in_clear_is_refused(host: Host, desks: tuple[Desk, Desk]) -> None:
    caller, callee = desks
    caller.start(encrypted=False)
    try:
        both_registered(host, desks)
        caller.dial("102")
        assert within(15, lambda: "488 Not Acceptable Here" in caller.said()), caller.said()[-1500:]
    finally:
        caller.start()
    assert callee.account["user"] not in host.check_output("asterisk -rx 'core show channels'")


def test_the_secrets_are_handed_out_once(host: Host, desks: tuple[Desk, Desk]) -> None:
    phone = desks[0]
    assert phone.fetch(f"{URL}{phone.mac}.cfg") is None
    again = phone.fetch(f"{phone.account['folder']}{phone.mac}.cfg")
    assert again is not None
    assert yealink(again) == phone.account | {"password": ""}
    command(host, f"phone rearm {YEALINK}")
    armed = phone.fetch(f"{phone.account['folder']}{phone.mac}.cfg")
    assert armed is not None
    assert yealink(armed) == phone.account
    assert phone.fetch(f"{URL}{phone.mac}.cfg") is None


def test_reprovision_reaches_the_phone_through_its_pbx(host: Host, desks: tuple[Desk, Desk]) -> None:
    both_registered(host, desks)
    phone, other = desks
    assert "asked" in command(host, f"phone reprovision {YEALINK}")
    assert within(15, lambda: re.search(r"^Event: check-sync\r?$", phone.said(), re.MULTILINE)), phone.said()[-1500:]
    assert "NOTIFY sip:" in phone.said()
    assert "check-sync" not in other.said(), "nobody else is told"


def test_the_directory_is_the_tenants(desks: tuple[Desk, Desk]) -> None:
    book = desks[0].fetch(f"{desks[0].account['folder']}phonebook.xml")
    assert book is not None
    assert "Dr. Anna d'Rossi &amp; Söhne" in book
    assert desks[0].fetch(f"{URL}phonebook.xml") is None


def test_a_stranger_gets_nothing_and_is_counted(host: Host, desks: tuple[Desk, Desk]) -> None:
    phone = desks[0]
    assert phone.fetch(f"{URL}001565aabb99.cfg") is None
    assert phone.fetch(f"{URL}{'x' * 32}/{phone.mac}.cfg") is None
    said = re.findall(
        r"phone (refused|folder unknown): address=(\S+) mac=(\S+)$",
        host.check_output("journalctl --unit centralino-panel --output cat --no-pager --since -1min"),
        re.MULTILINE,
    )
    assert said[-2:] == [
        ("refused", phone.address, "001565aabb99"),
        ("folder unknown", phone.address, phone.mac),
    ], "a ban counts the first alone"


def test_tftp_holds_no_secret(desks: tuple[Desk, Desk], credentials: dict[str, dict[str, str]]) -> None:
    for name in ("spa504g.cfg", "y000000000066.cfg", "cfg.xml", "000000000000.cfg", "snomD785.htm"):
        content = desks[1].tftp("192.0.2.1", name)
        assert URL.removeprefix("https://").rstrip("/") in content
        assert not any(device["secret"] in content for device in credentials.values())
