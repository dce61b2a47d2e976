"""Polycom's (Poly's) phones: a master file that names the account's file, as in the UC Software Administrator Guide.

The settings of a file hold as long as the file names them, so there is no file without secrets: a phone whose secrets
are handed out no more goes on with its stored copy.
"""

from collections.abc import Iterator

from centralino.phones import text
from centralino.phones.clock import LAST, Change, clock
from centralino.phones.phone import Account, Phone
from centralino.phones.vendors.vendor import XML, Template, Vendor, key_places

_LANGUAGES = {
    "de": "German_Germany",
    "en": "English_United_Kingdom",
    "es": "Spanish_Spain",
    "fr": "French_France",
    "it": "Italian_Italy",
}
_CODECS = {"alaw": "G711_A", "g722": "G722", "ulaw": "G711_Mu"}
_UNWANTED_CODECS = ("G729_AB", "iLBC.13_33kbps", "Opus")


def _master(phone: Phone) -> str:
    files = f"{phone.url}{phone.mac}-account.cfg"
    return text.document(text.element("APPLICATION", APP_FILE_PATH=phone.settings.firmware_url, CONFIG_FILES=files))


def _account_file(phone: Phone) -> str:
    return text.document(text.branch("PHONE_CONFIG", [text.element("ALL", **dict(_values(phone)))]))


def _values(phone: Phone) -> Iterator[tuple[str, object]]:
    settings = phone.settings
    yield from _device("device.prov.serverType", "HTTPS")
    yield from _device("device.prov.serverName", phone.url)
    yield from _device("device.dhcp.bootSrvUseOpt", "Static")
    if phone.passwords:
        yield from _device("device.auth.localAdminPassword", phone.passwords.admin)
        yield from _device("device.auth.localUserPassword", phone.passwords.user)
    yield from _device("device.net.vlanId", settings.vlan or "")
    yield "device.set", 1
    yield "voIpProt.SIP.specialEvent.checkSync.alwaysReboot", 0
    if phone.ca:
        yield "sec.TLS.customCaCert.1", phone.ca
        yield "sec.TLS.profileSelection.SIP", "ApplicationProfile1"
    yield "lcl.ml.lang", _LANGUAGES[settings.language]
    if settings.ntp_servers:
        yield "tcpIpApp.sntp.address", settings.ntp_servers[0]
        yield "tcpIpApp.sntp.address.overrideDHCP", 1
    yield from _clock(phone)
    for priority, codec in enumerate(settings.codecs, 1):
        yield f"voice.codecPref.{_CODECS[codec]}", priority
    for name in sorted(set(_CODECS.values()) - {_CODECS[codec] for codec in settings.codecs}):
        yield f"voice.codecPref.{name}", 0
    for name in _UNWANTED_CODECS:
        yield f"voice.codecPref.{name}", 0
    for number, account in enumerate(phone.accounts, 1):
        yield from _account(phone, number, account)
    for place, (_, key) in enumerate(key_places(phone), 1):
        yield f"attendant.resourceList.{place}.address", key.number
        yield f"attendant.resourceList.{place}.label", key.label
        yield f"attendant.resourceList.{place}.type", "normal"


def _device(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield a value of the phone itself, which is only taken with its ``set``."""
    yield name, value
    yield f"{name}.set", 1


def _account(phone: Phone, number: int, account: Account) -> Iterator[tuple[str, object]]:
    secure = account.transport == "tls"
    yield f"reg.{number}.address", account.endpoint
    yield f"reg.{number}.displayName", account.name
    yield f"reg.{number}.label", account.number
    yield f"reg.{number}.type", "private"
    yield f"reg.{number}.auth.userId", account.endpoint
    if account.secret is not None:
        yield f"reg.{number}.auth.password", account.secret
    yield f"reg.{number}.server.1.address", phone.server.host
    yield f"reg.{number}.server.1.port", phone.server.port(account.transport)
    yield f"reg.{number}.server.1.transport", "TLS" if secure else "UDPOnly"
    for name in ("enable", "offer", "require"):
        yield f"reg.{number}.srtp.{name}", int(secure)
    if phone.settings.voicemail:
        yield f"msg.mwi.{number}.callBackMode", "contact"
        yield f"msg.mwi.{number}.callBack", phone.settings.voicemail


def _clock(phone: Phone) -> Iterator[tuple[str, object]]:
    """Yield the clock. The guide has no parameter for how much summer time adds: it is an hour."""
    here = clock(phone.settings.time_zone)
    name = "tcpIpApp.sntp"
    yield f"{name}.gmtOffset", here.offset
    yield f"{name}.gmtOffset.overrideDHCP", 1
    yield f"{name}.daylightSavings.enable", int(here.start is not None)
    if here.start and here.end:
        yield f"{name}.daylightSavings.fixedDayEnable", 0
        for which, change in (("start", here.start), ("stop", here.end)):
            yield from _change(f"{name}.daylightSavings.{which}", change)


def _change(name: str, change: Change) -> Iterator[tuple[str, object]]:
    """Yield a change: the first such weekday on or after the date, or the month's last. Sunday is 1."""
    yield f"{name}.month", change.month
    yield f"{name}.date", 1 if change.week == LAST else (change.week - 1) * 7 + 1
    yield f"{name}.dayOfWeek", change.weekday + 1
    yield f"{name}.dayOfWeek.lastInMonth", int(change.week == LAST)
    yield f"{name}.time", change.clock[0]


VENDOR = Vendor(
    files={"{mac}.cfg": Template(_master, XML, secret=False), "{mac}-account.cfg": Template(_account_file, XML)},
    keeps=False,
)
