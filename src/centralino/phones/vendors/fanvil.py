"""Fanvil's desk phones: the sectioned text that the phones themselves export."""

from collections.abc import Iterable, Iterator

from centralino.phones import text
from centralino.phones.clock import Change, clock
from centralino.phones.phone import Account, Entry, Phone
from centralino.phones.vendors.vendor import TEXT, Template, Vendor, directory_entries, key_places, spare_accounts

_CODECS = {"alaw": "PCMA", "g722": "G722", "ulaw": "PCMU"}
_WIDTH = 19
"""The phones put the colon into this column."""
_TLS, _UDP = 3, 0
_HTTPS = 5


def _render(phone: Phone) -> str:
    parts = (
        ("GLOBAL CONFIG MODULE", _global(phone)),
        ("SIP CONFIG MODULE", _accounts(phone)),
        ("DSSKEY CONFIG MODULE", _keys(phone)),
        ("PHONEBOOK CONFIG MODULE", _directory(phone)),
        ("MMI CONFIG MODULE", _passwords(phone)),
        ("QOS CONFIG MODULE", _vlan(phone)),
        ("AUTOUPDATE CONFIG MODULE", _provisioning(phone)),
    )
    written = [
        f"<{title}>\n" + text.lines(((f"{name:<{_WIDTH}}", value) for name, value in pairs), between=":")
        for title, pairs in parts
    ]
    return "<<VOIP CONFIG FILE>>Version:2.0002\n\n" + "\n".join(written) + "\n<<END OF FILE>>\n"


def _global(phone: Phone) -> Iterator[tuple[str, object]]:
    here = clock(phone.settings.time_zone)
    yield "Default Language", phone.settings.language
    yield from zip(("SNTP Server", "Second SNTP Server"), phone.settings.ntp_servers, strict=False)
    yield "Enable SNTP", 1
    yield "Time Zone", here.offset // 900  # quarters of an hour
    yield "Enable Daylight", int(here.start is not None)
    if here.start and here.end:
        yield "DayLight Shift Min", here.saving // 60
        yield from _change("DayLight Start", here.start)
        yield from _change("DayLight End", here.end)


def _change(name: str, change: Change) -> Iterator[tuple[str, object]]:
    yield f"{name} Mon", change.month
    yield f"{name} Week", change.week
    yield f"{name} Wday", change.weekday
    yield f"{name} Hour", change.clock[0]
    yield f"{name} Min", change.clock[1]


def _accounts(phone: Phone) -> Iterator[tuple[str, object]]:
    yield "--SIP Line List--", ""
    for number, account in enumerate(phone.accounts, 1):
        for name, value in _account(phone, account):
            yield f"SIP{number} {name}", value
    for number in spare_accounts(phone):
        yield f"SIP{number} Enable Reg", 0


def _account(phone: Phone, account: Account) -> Iterator[tuple[str, object]]:
    secure = account.transport == "tls"
    yield "Enable Reg", 1
    yield "Phone Number", account.endpoint
    yield "Display Name", account.name
    yield "Sip Name", account.number
    yield "Register Addr", phone.server.host
    yield "Register Port", phone.server.port(account.transport)
    yield "Register User", account.endpoint
    if account.secret is not None:
        yield "Register Pswd", account.secret
    yield "Transport", _TLS if secure else _UDP
    yield "Media Crypto", 2 if secure else 0  # 2: nothing but SRTP
    yield "VoiceCodecMap", ",".join(_CODECS[codec] for codec in phone.settings.codecs)
    if phone.settings.voicemail:
        yield "MWI Num", phone.settings.voicemail


def _keys(phone: Phone) -> Iterator[tuple[str, object]]:
    for number, account in enumerate(phone.accounts, 1):
        yield f"Fkey{number} Type", 2
        yield f"Fkey{number} Value", f"SIP{number}"
        yield f"Fkey{number} Title", account.name
    for place, key in key_places(phone):
        yield f"Fkey{place} Type", 1
        yield f"Fkey{place} Value", f"{key.number}@1/ba"  # watched on line 1, called by a press
        yield f"Fkey{place} Title", key.label


def _directory(phone: Phone) -> Iterator[tuple[str, object]]:
    if phone.settings.phonebook:
        yield "XmlBook1 Name", "Phonebook"
        yield "XmlBook1 Addr", f"{phone.url}phonebook.xml"


def _passwords(phone: Phone) -> Iterator[tuple[str, object]]:
    if phone.passwords:
        yield "--MMI Account--", ""
        yield "Account1 Name", "admin"
        yield "Account1 Password", phone.passwords.admin
        yield "Account1 Level", 10
        yield "Account2 Name", "user"
        yield "Account2 Password", phone.passwords.user
        yield "Account2 Level", 5


def _vlan(phone: Phone) -> Iterator[tuple[str, object]]:
    yield "Enable VLAN", int(phone.settings.vlan > 0)
    yield "VLAN ID", phone.settings.vlan or 256  # as the phones leave the factory


def _provisioning(phone: Phone) -> Iterator[tuple[str, object]]:
    yield "Download Server IP", phone.url
    yield "Config File Name", f"{phone.mac}.cfg"
    yield "Download Protocol", _HTTPS
    yield "Download Mode", 1  # at every start
    yield "DHCP Option", 0
    yield "PNP Enable", 0
    if phone.settings.firmware_url:
        yield "Auto Image Url", phone.settings.firmware_url


def _phonebook(entries: Iterable[Entry]) -> str:
    return text.document(text.branch("FanvilIPPhoneDirectory", directory_entries(entries)))


VENDOR = Vendor(files={"{mac}.cfg": Template(_render, TEXT)}, phonebook=_phonebook)
