"""Grandstream's desk phones: P-values in XML, as in the vendor's configuration templates for GXP21xx and GRP26xx."""

from collections.abc import Iterable, Iterator

from centralino.phones import text
from centralino.phones.clock import clock
from centralino.phones.phone import Account, Entry, Phone
from centralino.phones.vendors.vendor import XML, Template, Vendor, key_places, spare_accounts

_CODECS = {"alaw": 8, "g722": 9, "ulaw": 0}
_FIRST_ACCOUNT = {
    "active": 271, "label": 270, "server": 47, "user": 35, "auth": 36, "password": 34, "name": 3, "transport": 130,
    "srtp": 183, "voicemail": 33, "codecs": 57,
}  # fmt: skip
_OTHER_ACCOUNTS = {
    "active": 1, "label": 17, "server": 2, "user": 4, "auth": 5, "password": 6, "name": 7, "transport": 48, "srtp": 43,
    "voicemail": 26, "codecs": 51,
}  # fmt: skip
_BASES = {2: 400, 3: 500, 4: 600, 5: 1700, 6: 1800}
"""What is added to the numbers of an account that is not the first."""
_BLF = 11
_HTTPS_UPGRADE, _HTTPS_PHONEBOOK = 2, 3


def _render(phone: Phone) -> str:
    values = (text.element(f"P{number}", value) for number, value in _values(phone))
    config = text.branch("config", values, version="1")
    return text.document(text.branch("gs_provision", [text.element("mac", phone.mac), config], version="1"))


def _values(phone: Phone) -> Iterator[tuple[int, object]]:
    settings = phone.settings
    yield 212, _HTTPS_UPGRADE
    yield 237, _without_scheme(phone.url)
    yield 145, 0  # DHCP's pointer no longer replaces this address
    yield 238, 0  # looked for at every start
    yield 4428, 1  # a NOTIFY needs no log-in: it comes from the PBX over TLS, and brings nothing but a reason to look
    if phone.passwords:
        yield 2, phone.passwords.admin
        yield 196, phone.passwords.user
    yield 51, settings.vlan
    if settings.firmware_url:
        yield 6767, _HTTPS_UPGRADE
        yield 192, _without_scheme(settings.firmware_url)
    yield 1362, settings.language
    if settings.ntp_servers:
        yield 30, settings.ntp_servers[0]
        yield 144, 0  # nor does DHCP's time server
    yield 64, "customize"
    yield 246, clock(settings.time_zone).posix
    for number, account in enumerate(phone.accounts, 1):
        yield from _account(phone, number, account)
    for number in spare_accounts(phone):
        yield _numbers(number)["active"], 0
    for place, key in key_places(phone):
        yield 1363 + 2 * (place - 1), _BLF
        yield 1364 + 2 * (place - 1), 0  # the first account
        yield 1465 + 2 * (place - 1), key.label
        yield 1466 + 2 * (place - 1), key.number
    yield 330, _HTTPS_PHONEBOOK if settings.phonebook else 0
    if settings.phonebook:
        yield 331, _without_scheme(phone.url)
        yield 332, 720  # minutes between two looks


def _numbers(number: int) -> dict[str, int]:
    """Return the P-values of an account."""
    base = _BASES.get(number, 0)
    return {name: base + value for name, value in (_OTHER_ACCOUNTS if base else _FIRST_ACCOUNT).items()}


def _account(phone: Phone, number: int, account: Account) -> Iterator[tuple[int, object]]:
    names = _numbers(number)
    secure = account.transport == "tls"
    yield names["active"], 1
    yield names["label"], account.name
    yield names["server"], f"{phone.server.host}:{phone.server.port(account.transport)}"
    yield names["user"], account.endpoint
    yield names["auth"], account.endpoint
    if account.secret is not None:
        yield names["password"], account.secret
    yield names["name"], account.name
    yield names["transport"], 2 if secure else 0
    yield names["srtp"], 2 if secure else 0  # 2: forced
    if phone.settings.voicemail:
        yield names["voicemail"], phone.settings.voicemail
    # All of the first six places are set, or a codec that is not wanted stays in one.
    codecs = [_CODECS[codec] for codec in phone.settings.codecs]
    for place in range(6):
        yield names["codecs"] + place, codecs[min(place, len(codecs) - 1)]


def _without_scheme(url: str) -> str:
    return url.removeprefix("https://").rstrip("/")


def _phonebook(entries: Iterable[Entry]) -> str:
    found = (
        text.branch(
            "Contact",
            [
                text.element("FirstName", entry.name),
                text.element("LastName"),
                text.branch("Phone", [text.element("phonenumber", entry.number), text.element("accountindex", 0)]),
            ],
        )
        for entry in entries
    )
    return text.document(text.branch("AddressBook", found))


VENDOR = Vendor(files={"cfg{mac}.xml": Template(_render, XML)}, phonebook=_phonebook)
