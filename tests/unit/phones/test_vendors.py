"""Each vendor's files, read back as the vendor's phones read them."""

from typing import Any

import pytest

from centralino.contract.phones import Key, Settings
from centralino.phones import files
from centralino.phones.models import MODELS
from centralino.phones.phone import Account, Entry, Phone
from centralino.phones.vendors import VENDORS, vendor_of
from tests.unit.phones.samples import ENDPOINT, MAC, MODEL_OF, PASSWORDS, READERS, SECRET, URL, phone, xml

HOSTILE = "A&B </user_name><x y='1'>\"=;\r\nadmin = 1\x00\x1b\ufffe%s{{x}}$MA"


def content(one: Phone) -> str:
    """Return the file of a phone that holds its accounts."""
    (template,) = (template for template in vendor_of(one.model).files.values() if template.secret)
    return files.render(template, one).content.decode()


def read(vendor: str, **changes: Any) -> dict[str, Any]:
    """Return a vendor's file, read as its phones read it."""
    return READERS[vendor](content(phone(MODEL_OF[vendor], **changes)))


EXPECTED: dict[str, dict[str, str]] = {
    "yealink": {
        "account.1.enable": "1",
        "account.1.display_name": "Anna Rossi",
        "account.1.user_name": ENDPOINT,
        "account.1.auth_name": ENDPOINT,
        "account.1.password": SECRET,
        "account.1.sip_server.1.address": "pbx01.example",
        "account.1.sip_server.1.port": "5061",
        "account.1.sip_server.1.transport_type": "2",
        "account.1.srtp_encryption": "2",
        "account.1.codec.pcma.priority": "1",
        "account.1.codec.g722.priority": "2",
        "account.1.codec.pcmu.enable": "0",
        "voice_mail.number.1": "*97",
        "static.auto_provision.server.url": URL,
        "static.auto_provision.dhcp_option.enable": "0",
        "static.trusted_certificates.url": f"{URL}ca.crt",
        "static.security.user_password": f"admin:{PASSWORDS.admin}\nuser:{PASSWORDS.user}",
        "static.network.vlan.internet_port_enable": "1",
        "static.network.vlan.internet_port_vid": "42",
        "static.firmware.url": "https://fw.example/phone.rom",
        "lang.gui": "Italian",
        "local_time.ntp_server1": "192.0.2.1",
        "local_time.ntp_server2": "ntp.example",
        "local_time.time_zone": "+1",
        "local_time.summer_time": "1",
        "local_time.start_time": "3/5/7/2",
        "local_time.end_time": "10/5/7/3",
        "local_time.offset_time": "60",
        "linekey.1.type": "15",
        "linekey.2.type": "16",
        "linekey.2.value": "102",
        "linekey.2.label": "Bruno",
        "linekey.3.value": "103",
        "remote_phonebook.data.1.url": f"{URL}phonebook.xml",
        "action_url.call_established": "https://crm.example/call?mac=$mac&to=$remote",
    },
    "snom": {
        "user_active!1": "on",
        "user_realname!1": "Anna Rossi",
        "user_name!1": ENDPOINT,
        "user_pname!1": ENDPOINT,
        "user_pass!1": SECRET,
        "user_host!1": "pbx01.example",
        "user_outbound!1": "pbx01.example:5061;transport=tls",
        "user_srtp!1": "on",
        "user_savp!1": "mandatory",
        "user_mailbox!1": "*97",
        "codec_priority_list!1": "pcma,g722,telephone-event",
        "setting_server": f"{URL}{MAC}.xml",
        "admin_mode_password": PASSWORDS.admin,
        "http_pass": PASSWORDS.user,
        "vlan_id": "42",
        "firmware": "https://fw.example/phone.rom",
        "certificate": f"{URL}ca.crt",
        "language": "Italiano",
        "ntp_server": "192.0.2.1",
        "utc_offset": "3600",
        "dst": "3600 03.05.07 02:00:00 10.05.07 03:00:00",
        "fkey!0": "line",
        "fkey!1": "blf sip:102@pbx01.example",
        "label!1": "Bruno",
        "dkey_retrieve": "speed *97",
        "dkey_directory": f"url {URL}phonebook.xml",
        "action_connected_url": "https://crm.example/call?mac=$mac&to=$remote",
    },
    "grandstream": {
        "P271": "1",
        "P3": "Anna Rossi",
        "P35": ENDPOINT,
        "P36": ENDPOINT,
        "P34": SECRET,
        "P47": "pbx01.example:5061",
        "P130": "2",
        "P183": "2",
        "P33": "*97",
        "P57": "8",
        "P58": "9",
        "P62": "9",
        "P212": "2",
        "P237": "web.example/phones/4k2v",
        "P145": "0",
        "P2": PASSWORDS.admin,
        "P196": PASSWORDS.user,
        "P51": "42",
        "P192": "fw.example/phone.rom",
        "P1362": "it",
        "P30": "192.0.2.1",
        "P64": "customize",
        "P246": "CET-1CEST,M3.5.0,M10.5.0/3",
        "P1365": "11",
        "P1366": "0",
        "P1467": "Bruno",
        "P1468": "102",
        "P330": "3",
        "P331": "web.example/phones/4k2v",
    },
    "cisco": {
        "Display_Name_1_": "Anna Rossi",
        "User_ID_1_": ENDPOINT,
        "Auth_ID_1_": ENDPOINT,
        "Use_Auth_ID_1_": "Yes",
        "Password_1_": SECRET,
        "Proxy_1_": "pbx01.example:5061",
        "SIP_Transport_1_": "TLS",
        "SRTP_Method": "s-descriptor",
        "Secure_Call_Setting": "Yes",
        "Preferred_Codec_1_": "G711a",
        "Second_Preferred_Codec_1_": "G722",
        "Voice_Mail_Number": "*97",
        "Profile_Rule": f"{URL}$MA.cfg",
        "Custom_CA_URL": f"{URL}ca.crt",
        "Admin_Passwd": PASSWORDS.admin,
        "User_Password": PASSWORDS.user,
        "VLAN_ID": "42",
        "Upgrade_Rule": "https://fw.example/phone.rom",
        "Primary_NTP_Server": "192.0.2.1",
        "Time_Zone": "GMT+01:00",
        "Daylight_Saving_Time_Rule": "start=3/-1/7/2:0:0;end=10/-1/7/3:0:0;save=1:0:0",
        "Extension_2_": "Disabled",
        "Extended_Function_2_": "fnc=blf+sd+cp;sub=102@$PROXY;nme=Bruno",
    },
    "polycom": {
        "reg.1.address": ENDPOINT,
        "reg.1.displayName": "Anna Rossi",
        "reg.1.auth.userId": ENDPOINT,
        "reg.1.auth.password": SECRET,
        "reg.1.server.1.address": "pbx01.example",
        "reg.1.server.1.port": "5061",
        "reg.1.server.1.transport": "TLS",
        "reg.1.srtp.require": "1",
        "voice.codecPref.G711_A": "1",
        "voice.codecPref.G722": "2",
        "voice.codecPref.G711_Mu": "0",
        "msg.mwi.1.callBack": "*97",
        "device.prov.serverName": URL,
        "device.auth.localAdminPassword": PASSWORDS.admin,
        "device.auth.localAdminPassword.set": "1",
        "device.auth.localUserPassword": PASSWORDS.user,
        "device.net.vlanId": "42",
        "lcl.ml.lang": "Italian_Italy",
        "tcpIpApp.sntp.address": "192.0.2.1",
        "tcpIpApp.sntp.gmtOffset": "3600",
        "tcpIpApp.sntp.daylightSavings.start.month": "3",
        "tcpIpApp.sntp.daylightSavings.start.dayOfWeek": "1",
        "tcpIpApp.sntp.daylightSavings.start.dayOfWeek.lastInMonth": "1",
        "tcpIpApp.sntp.daylightSavings.stop.time": "3",
        "attendant.resourceList.1.address": "102",
        "attendant.resourceList.1.label": "Bruno",
    },
    "fanvil": {
        "SIP1 Enable Reg": "1",
        "SIP1 Phone Number": ENDPOINT,
        "SIP1 Display Name": "Anna Rossi",
        "SIP1 Register User": ENDPOINT,
        "SIP1 Register Pswd": SECRET,
        "SIP1 Register Addr": "pbx01.example",
        "SIP1 Register Port": "5061",
        "SIP1 Transport": "3",
        "SIP1 Media Crypto": "2",
        "SIP1 VoiceCodecMap": "PCMA,G722",
        "SIP1 MWI Num": "*97",
        "Account1 Password": PASSWORDS.admin,
        "Account2 Password": PASSWORDS.user,
        "Default Language": "it",
        "SNTP Server": "192.0.2.1",
        "Time Zone": "4",
        "DayLight Start Week": "5",
        "VLAN ID": "42",
        "Fkey2 Value": "102@1/ba",
        "Fkey2 Title": "Bruno",
        "XmlBook1 Addr": f"{URL}phonebook.xml",
        "Download Server IP": URL,
        "Auto Image Url": "https://fw.example/phone.rom",
    },
}


@pytest.mark.parametrize("vendor", EXPECTED)
def test_everything_that_is_set_arrives_under_the_vendors_names(vendor: str) -> None:
    found = read(vendor)
    assert {name: found.get(name) for name in EXPECTED[vendor]} == EXPECTED[vendor]


def test_the_generic_document_says_it_all() -> None:
    found = read("generic")
    assert found["accounts"][0] == {
        "name": "Anna Rossi",
        "number": "101",
        "user": ENDPOINT,
        "password": SECRET,
        "server": "pbx01.example",
        "port": 5061,
        "transport": "tls",
        "srtp": True,
    }
    assert found["passwords"] == {"admin": PASSWORDS.admin, "user": PASSWORDS.user}
    assert found["keys"][1] == {"number": "103", "label": "Carla"}
    assert (found["vlan"], found["time_zone"], found["voicemail"]) == (42, "Europe/Rome", "*97")


def test_polycoms_master_file_leads_to_the_account_and_holds_no_secret() -> None:
    template = files.template_of(MODEL_OF["polycom"], MAC, f"{MAC}.cfg")
    assert template is not None
    assert not template.secret
    written = files.render(template, phone(MODEL_OF["polycom"])).content.decode()
    assert READERS["polycom"](written)["CONFIG_FILES"] == f"{URL}{MAC}-account.cfg"
    assert SECRET not in written
    assert files.template_of(MODEL_OF["polycom"], MAC, f"{MAC}-account.cfg") is not None


@pytest.mark.parametrize("vendor", VENDORS)
def test_without_secrets_there_is_none_and_all_else_stays(vendor: str) -> None:
    whole = read(vendor)
    text = content(files.without_secrets(phone(MODEL_OF[vendor])))
    assert not any(secret in text for secret in (SECRET, PASSWORDS.admin, PASSWORDS.user))
    kept = READERS[vendor](text)
    assert len(kept) >= len(whole) - 8  # Fanvil has a section of them
    assert {name: value for name, value in kept.items() if name != "accounts"}.items() <= whole.items()


@pytest.mark.parametrize("vendor", VENDORS)
def test_hostile_text_stays_a_value(vendor: str) -> None:
    """A name cannot end a line, an element or an attribute, and adds no setting."""
    hostile = Account(ENDPOINT, "101", HOSTILE, SECRET)
    keys = (Key.model_construct(number="102", label=HOSTILE),)
    settings = Settings.model_construct(**{**phone(MODEL_OF[vendor]).settings.__dict__, "keys": keys})
    harmless = Settings.model_validate({**settings.model_dump(), "keys": [{"number": "102", "label": "x"}]})
    found = read(vendor, accounts=(hostile,), settings=settings)
    assert set(found) == set(read(vendor, settings=harmless))
    texts = [found["accounts"][0]["name"]] if vendor == "generic" else found.values()
    assert any("A&B </user_name><x y='1'>\"=" in text for text in texts)
    assert not any(unprintable in str(found) for unprintable in ("\x00", "\x1b", "\ufffe"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_renders_with_all_its_accounts_and_more_keys_than_it_has(model: str) -> None:
    known = MODELS[model]
    accounts = tuple(Account(f"t175-account{n:05}", f"1{n:02}", f"Line {n}", SECRET) for n in range(known.accounts))
    keys = [{"number": str(200 + n), "label": f"Key {n}"} for n in range(100)]
    found = READERS[known.vendor](
        content(phone(model, accounts=accounts, settings=Settings.model_validate({"keys": keys})))
    )
    everything = str(found)
    assert all(account.endpoint in everything for account in accounts)
    room = max(known.keys - known.accounts, 0)
    assert sum(f"Key {n}" in [*found.values(), *(k["label"] for k in found.get("keys", []))] for n in range(100)) == (
        min(room, 100)
    )


@pytest.mark.parametrize(
    ("vendor", "name", "on", "off"),
    [
        ("yealink", "account.2.enable", "1", "0"),
        ("snom", "user_active!2", "on", "off"),
        ("grandstream", "P401", "1", "0"),
        ("cisco", "Line_Enable_2_", "Yes", "No"),
        ("fanvil", "SIP2 Enable Reg", "1", "0"),
    ],
)
def test_an_account_that_a_phone_has_no_more_is_turned_off(vendor: str, name: str, on: str, off: str) -> None:
    accounts = tuple(Account(f"t175-account{n:05}", f"10{n}", f"Line {n}", SECRET) for n in (1, 2))
    assert read(vendor, accounts=accounts)[name] == on
    assert read(vendor, accounts=accounts[:1])[name] == off
    model = MODELS[MODEL_OF[vendor]]
    whole = {name.replace("2", str(number), 1) for number in range(1, model.accounts + 1)}
    if vendor != "grandstream":  # its numbers follow no rule
        assert whole <= read(vendor, accounts=()).keys()


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_phone_that_can_do_no_better_speaks_udp(vendor: str) -> None:
    account = Account(ENDPOINT, "101", "Anna", SECRET, transport="udp")
    found = str(read(vendor, accounts=(account,)))
    assert "5060" in found
    assert "5061" not in found


@pytest.mark.parametrize("vendor", ["yealink", "snom", "grandstream", "fanvil"])
def test_the_phonebook_is_well_formed_and_in_order(vendor: str) -> None:
    book = files.phonebook(MODEL_OF[vendor], [Entry("Anna", "101"), Entry(HOSTILE, "102")])
    assert book is not None
    root = xml(book.content.decode())
    names = [item.text or "" for item in root.iter() if item.tag in {"Name", "FirstName"}]
    numbers = [item.text for item in root.iter() if item.tag in {"Telephone", "phonenumber"}]
    assert numbers == ["101", "102"]
    assert names[0] == "Anna"
    assert names[1].startswith("A&B </user_name>")


def test_roots_of_the_phonebooks_are_the_vendors() -> None:
    roots = {}
    for vendor in VENDORS:
        book = files.phonebook(MODEL_OF[vendor], [])
        roots[vendor] = xml(book.content.decode()).tag if book else None
    assert roots == {
        "cisco": None,
        "fanvil": "FanvilIPPhoneDirectory",
        "generic": None,
        "grandstream": "AddressBook",
        "polycom": None,
        "snom": "SnomIPPhoneDirectory",
        "yealink": "YealinkIPPhoneDirectory",
    }


@pytest.mark.parametrize(
    ("name", "mac"),
    [
        ("001565aabbcc.cfg", MAC),
        ("001565AABBCC.xml", MAC),
        ("cfg001565aabbcc.xml", MAC),
        ("001565aabbcc-account.cfg", MAC),
        ("001565aabbcc.boot", MAC),
        ("000000000000.cfg", None),
        ("y000000000066.cfg", None),
        ("001565aabbcc", None),
        ("x001565aabbcc.cfg", None),
        ("001565aabbcc.cfg\n", None),
        ("phonebook.xml", None),
    ],
)
def test_the_mac_is_read_from_every_vendors_names(name: str, mac: str | None) -> None:
    assert files.mac_in(name) == mac


def test_a_phone_has_its_own_vendors_files_alone() -> None:
    assert files.template_of("yealink-t54w", MAC, f"{MAC.upper()}.cfg") is not None
    assert files.template_of("yealink-t54w", MAC, f"{MAC}.xml") is None
    assert files.template_of("yealink-t54w", "001565000000", f"{MAC}.cfg") is None
