"""Yealink's desk phones: ``key = value`` lines, as in the administrator's guide for firmware V84 and above."""

from collections.abc import Iterable, Iterator

from centralino.contract.phones import Event
from centralino.phones import text
from centralino.phones.clock import Change, clock
from centralino.phones.phone import Account, Entry, Phone
from centralino.phones.vendors.vendor import TEXT, Template, Vendor, directory_entries, key_places, spare_accounts

_LANGUAGES = {"de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian"}
_CODECS = {"alaw": "pcma", "g722": "g722", "ulaw": "pcmu"}
_UNWANTED_CODECS = ("g726_32", "g729", "g723_53", "g723_63", "ilbc", "opus")
_EVENTS: dict[Event, str] = {
    "registered": "registered",
    "incoming": "incoming_call",
    "outgoing": "outgoing_call",
    "answered": "call_established",
    "ended": "call_terminated",
}
_LINE, _BLF = 15, 16
"""Types of a line key."""


def _render(phone: Phone) -> str:
    return "#!version:1.0.0.1\n" + text.lines(_pairs(phone))


def _pairs(phone: Phone) -> Iterator[tuple[str, object]]:
    settings = phone.settings
    yield "static.auto_provision.server.url", phone.url
    yield "static.auto_provision.power_on", 1
    # From now on the phone asks its own folder, whatever DHCP points to.
    yield "static.auto_provision.dhcp_option.enable", 0
    yield "static.auto_provision.pnp_enable", 0
    yield "sip.notify_reboot_enable", 0
    if phone.ca:
        yield "static.trusted_certificates.url", f"{phone.url}ca.crt"
    yield "static.security.trust_certificates", 1
    if phone.passwords:
        yield "static.security.user_password", f"admin:{phone.passwords.admin}"
        yield "static.security.user_password", f"user:{phone.passwords.user}"
    yield "static.network.vlan.internet_port_enable", int(settings.vlan > 0)
    yield "static.network.vlan.internet_port_vid", settings.vlan or 1
    if settings.firmware_url:
        yield "static.firmware.url", settings.firmware_url
    yield "lang.gui", _LANGUAGES[settings.language]
    yield "lang.wui", _LANGUAGES[settings.language]
    yield "local_time.dhcp_time", 0
    for number, server in enumerate(settings.ntp_servers, 1):
        yield f"local_time.ntp_server{number}", server
    yield from _clock(phone)
    for number, account in enumerate(phone.accounts, 1):
        yield from _account(phone, number, account)
        yield f"linekey.{number}.type", _LINE
        yield f"linekey.{number}.line", number
        yield f"linekey.{number}.label", account.name
    for number in spare_accounts(phone):
        yield f"account.{number}.enable", 0
    for place, key in key_places(phone):
        yield f"linekey.{place}.type", _BLF
        yield f"linekey.{place}.line", 1
        yield f"linekey.{place}.value", key.number
        yield f"linekey.{place}.label", key.label
    yield "features.remote_phonebook.enable", int(settings.phonebook)
    if settings.phonebook:
        yield "remote_phonebook.data.1.url", f"{phone.url}phonebook.xml"
        yield "remote_phonebook.data.1.name", "Phonebook"
    for event, url in settings.action_urls.items():
        yield f"action_url.{_EVENTS[event]}", url


def _account(phone: Phone, number: int, account: Account) -> Iterator[tuple[str, object]]:
    secure = account.transport == "tls"
    yield f"account.{number}.enable", 1
    yield f"account.{number}.label", account.name
    yield f"account.{number}.display_name", account.name
    yield f"account.{number}.user_name", account.endpoint
    yield f"account.{number}.auth_name", account.endpoint
    if account.secret is not None:
        yield f"account.{number}.password", account.secret
    yield f"account.{number}.sip_server.1.address", phone.server.host
    yield f"account.{number}.sip_server.1.port", phone.server.port(account.transport)
    yield f"account.{number}.sip_server.1.transport_type", 2 if secure else 0
    yield f"account.{number}.srtp_encryption", 2 if secure else 0  # 2: nothing but SRTP
    if phone.settings.voicemail:
        yield f"voice_mail.number.{number}", phone.settings.voicemail
    for priority, codec in enumerate(phone.settings.codecs, 1):
        yield f"account.{number}.codec.{_CODECS[codec]}.enable", 1
        yield f"account.{number}.codec.{_CODECS[codec]}.priority", priority
    for name in sorted(set(_CODECS.values()) - {_CODECS[codec] for codec in phone.settings.codecs}):
        yield f"account.{number}.codec.{name}.enable", 0
    for name in _UNWANTED_CODECS:
        yield f"account.{number}.codec.{name}.enable", 0


def _clock(phone: Phone) -> Iterator[tuple[str, object]]:
    here = clock(phone.settings.time_zone)
    yield "local_time.time_zone", here.hours
    yield "local_time.summer_time", int(here.start is not None)
    if here.start and here.end:
        yield "local_time.dst_time_type", 1  # by week
        yield "local_time.start_time", _change(here.start)
        yield "local_time.end_time", _change(here.end)
        yield "local_time.offset_time", here.saving // 60


def _change(change: Change) -> str:
    return f"{change.month}/{change.week}/{change.isoweekday}/{change.clock[0]}"


def _phonebook(entries: Iterable[Entry]) -> str:
    return text.document(text.branch("YealinkIPPhoneDirectory", directory_entries(entries)))


VENDOR = Vendor(files={"{mac}.cfg": Template(_render, TEXT)}, phonebook=_phonebook)
