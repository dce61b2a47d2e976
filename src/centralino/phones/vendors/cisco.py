"""Cisco's SPA phones: the flat profile of the "Cisco SPA300/SPA500 Series IP Phones Provisioning Guide"."""

from collections.abc import Iterator

from centralino.phones import text
from centralino.phones.clock import LAST, Change, clock
from centralino.phones.phone import Account, Phone
from centralino.phones.vendors.vendor import XML, Template, Vendor, key_places, spare_accounts

_CODECS = {"alaw": "G711a", "g722": "G722", "ulaw": "G711u"}
_PREFERENCES = ("Preferred_Codec", "Second_Preferred_Codec", "Third_Preferred_Codec")


def _render(phone: Phone) -> str:
    values = (text.element(name, value) for name, value in _values(phone))
    return text.document(text.branch("flat-profile", values))


def _values(phone: Phone) -> Iterator[tuple[str, object]]:
    settings = phone.settings
    yield "Provision_Enable", "Yes"
    yield "Resync_On_Reset", "Yes"
    yield "Profile_Rule", f"{phone.url}$MA.cfg"
    if phone.ca:
        yield "Custom_CA_URL", f"{phone.url}ca.crt"
    if phone.passwords:
        yield "Admin_Passwd", phone.passwords.admin
        yield "User_Password", phone.passwords.user
    if settings.firmware_url:
        yield "Upgrade_Enable", "Yes"
        yield "Upgrade_Rule", settings.firmware_url
    yield "Enable_VLAN", "Yes" if settings.vlan else "No"
    if settings.vlan:
        yield "VLAN_ID", settings.vlan
    yield from zip(("Primary_NTP_Server", "Secondary_NTP_Server"), settings.ntp_servers, strict=False)
    yield from _clock(phone)
    yield "SRTP_Method", "s-descriptor"  # SDES, RFC 4568
    yield "Secure_Call_Serv", "Yes"
    yield "Secure_Call_Setting", "Yes" if all(account.transport == "tls" for account in phone.accounts) else "No"
    if settings.voicemail:
        yield "Voice_Mail_Number", settings.voicemail
    for number, account in enumerate(phone.accounts, 1):
        yield from _account(phone, number, account)
    for number in spare_accounts(phone):
        yield f"Line_Enable_{number}_", "No"
    for place, key in key_places(phone):
        yield f"Extension_{place}_", "Disabled"
        yield f"Short_Name_{place}_", key.label
        label = key.label.replace(";", " ")
        yield f"Extended_Function_{place}_", f"fnc=blf+sd+cp;sub={key.number}@$PROXY;nme={label}"


def _account(phone: Phone, number: int, account: Account) -> Iterator[tuple[str, object]]:
    secure = account.transport == "tls"
    yield f"Extension_{number}_", number
    yield f"Short_Name_{number}_", account.number
    yield f"Line_Enable_{number}_", "Yes"
    yield f"Proxy_{number}_", f"{phone.server.host}:{phone.server.port(account.transport)}"
    yield f"Register_{number}_", "Yes"
    yield f"SIP_Transport_{number}_", "TLS" if secure else "UDP"
    yield f"Auth_Resync-Reboot_{number}_", "No"  # the NOTIFY comes from the PBX over TLS
    yield f"Display_Name_{number}_", account.name
    yield f"User_ID_{number}_", account.endpoint
    yield f"Use_Auth_ID_{number}_", "Yes"
    yield f"Auth_ID_{number}_", account.endpoint
    if account.secret is not None:
        yield f"Password_{number}_", account.secret
    yield f"Use_Pref_Codec_Only_{number}_", "Yes" if len(phone.settings.codecs) == 1 else "No"
    for name, codec in zip(_PREFERENCES, phone.settings.codecs, strict=False):
        yield f"{name}_{number}_", _CODECS[codec]


def _clock(phone: Phone) -> Iterator[tuple[str, object]]:
    here = clock(phone.settings.time_zone)
    minutes = abs(here.offset) // 60
    yield "Time_Zone", f"GMT{'-' if here.offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    yield "Daylight_Saving_Time_Enable", "Yes" if here.start else "No"
    if here.start and here.end:
        saving = f"{here.saving // 3600}:{here.saving // 60 % 60}:0"
        rule = f"start={_change(here.start)};end={_change(here.end)};save={saving}"
        yield "Daylight_Saving_Time_Rule", rule


def _change(change: Change) -> str:
    """Return ``month/day/weekday/h:m:s``: the first such weekday on or after the day, or with -1 the month's last."""
    day = -1 if change.week == LAST else (change.week - 1) * 7 + 1
    hours, minutes, seconds = change.clock
    return f"{change.month}/{day}/{change.isoweekday}/{hours}:{minutes}:{seconds}"


VENDOR = Vendor(files={"{mac}.cfg": Template(_render, XML)})
