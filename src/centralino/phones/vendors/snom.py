"""Snom's desk phones: the XML of service.snom.com, "Desk Phone Configuration Files"."""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from centralino.contract.phones import Event
from centralino.phones import text
from centralino.phones.clock import Change, Clock, clock
from centralino.phones.phone import Account, Entry, Phone
from centralino.phones.vendors.vendor import XML, Template, Vendor, directory_entries, key_places, spare_accounts

_LANGUAGES = {"de": "Deutsch", "en": "English", "es": "Español", "fr": "Français", "it": "Italiano"}
_CODECS = {"alaw": "pcma", "g722": "g722", "ulaw": "pcmu"}
_EVENTS: dict[Event, str] = {
    "incoming": "action_incoming_url",
    "outgoing": "action_outgoing_url",
    "answered": "action_connected_url",
    "ended": "action_disconnected_url",
}


def _render(phone: Phone) -> str:
    parts = [
        text.branch("phone-settings", _settings(phone), e="2"),
        text.branch("functionKeys", _keys(phone), e="2"),
    ]
    if phone.ca:
        parts.append(text.branch("certificates", [text.element("certificate", url=f"{phone.url}ca.crt")]))
    if phone.settings.firmware_url:
        parts.append(text.branch("firmware-settings", [_setting("firmware", phone.settings.firmware_url)]))
    return text.document(text.branch("settings", parts))


def _setting(name: str, value: object) -> Element:
    """Return a setting that the phone's user cannot change."""
    return text.element(name, value, perm="R")


def _settings(phone: Phone) -> Iterator[Element]:
    settings = phone.settings
    yield _setting("setting_server", f"{phone.url}{phone.mac}.xml")
    yield _setting("update_policy", "auto_update")
    yield _setting("pnp_config", "off")
    yield _setting("webserver_type", "https")
    if phone.passwords:
        yield _setting("admin_mode", "off")
        yield _setting("admin_mode_password", phone.passwords.admin)
        yield _setting("http_user", "user")
        yield _setting("http_pass", phone.passwords.user)
    yield _setting("vlan_id", settings.vlan or "")
    yield _setting("language", _LANGUAGES[settings.language])
    yield _setting("web_language", _LANGUAGES[settings.language])
    if settings.ntp_servers:
        yield _setting("ntp_server", settings.ntp_servers[0])
    yield _setting("utc_offset", clock(settings.time_zone).offset)
    yield _setting("dst", _summer(clock(settings.time_zone)))
    for number, account in enumerate(phone.accounts, 1):
        yield from _account(phone, str(number), account)
    for number in spare_accounts(phone):
        yield text.element("user_active", "off", idx=number, perm="R")
    if settings.voicemail:
        yield _setting("dkey_retrieve", f"speed {settings.voicemail}")
    if settings.phonebook:
        yield _setting("dkey_directory", f"url {phone.url}phonebook.xml")
    for event, url in settings.action_urls.items():
        if event in _EVENTS:
            yield _setting(_EVENTS[event], url)


def _account(phone: Phone, idx: str, account: Account) -> Iterator[Element]:
    secure = account.transport == "tls"
    server = f"{phone.server.host}:{phone.server.port(account.transport)}"
    codecs = [*(_CODECS[codec] for codec in phone.settings.codecs), "telephone-event"]
    values = {
        "user_active": "on",
        "user_realname": account.name,
        "user_idle_text": f"{account.number} {account.name}",
        "user_name": account.endpoint,
        "user_pname": account.endpoint,
        "user_host": phone.server.host,
        "user_outbound": f"{server};transport={account.transport}",
        "user_srtp": "on" if secure else "off",
        "user_savp": "mandatory" if secure else "off",
        "user_mailbox": phone.settings.voicemail,
        "codec_priority_list": ",".join(codecs),
    }
    for name, value in values.items():
        yield text.element(name, value, idx=idx, perm="R")
    if account.secret is not None:
        yield text.element("user_pass", account.secret, idx=idx, perm="R")


def _keys(phone: Phone) -> Iterator[Element]:
    for number, account in enumerate(phone.accounts, 1):
        yield text.element("fkey", "line", idx=number - 1, context=number, label=account.name, perm="R")
    for place, key in key_places(phone):
        watched = f"blf sip:{key.number}@{phone.server.host}"
        yield text.element("fkey", watched, idx=place - 1, context=1, label=key.label, perm="R")


def _summer(here: Clock) -> str:
    """Return the rule as ``seconds MM.WW.DD HH:MM:SS MM.WW.DD HH:MM:SS``, Sunday as 07; empty without summer time."""
    if not (here.start and here.end):
        return ""
    return f"{here.saving} {_change(here.start)} {_change(here.end)}"


def _change(change: Change) -> str:
    hours, minutes, seconds = change.clock
    return f"{change.month:02}.{change.week:02}.{change.isoweekday:02} {hours:02}:{minutes:02}:{seconds:02}"


def _phonebook(entries: Iterable[Entry]) -> str:
    title = text.element("Title", "Phonebook")
    return text.document(text.branch("SnomIPPhoneDirectory", [title, *directory_entries(entries)]))


VENDOR = Vendor(files={"{mac}.xml": Template(_render, XML)}, phonebook=_phonebook)
