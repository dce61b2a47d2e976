"""A phone with everything set, and readers of the vendors' formats that know nothing of how it is written."""

import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from centralino.contract.phones import Settings
from centralino.phones.phone import Account, Passwords, Phone, Server

MAC = "001565aabbcc"
URL = "https://web.example/phones/4k2v/"
SECRET = "s3cret0f0ne0f0account0000000000a"
PASSWORDS = Passwords(admin="adm1n0f0the0phone00", user="us3r0f0the0phone000")
ENDPOINT = "t175-abcdefghijkl"

SETTINGS = Settings.model_validate(
    {
        "ntp_servers": ["192.0.2.1", "ntp.example"],
        "time_zone": "Europe/Rome",
        "language": "it",
        "codecs": ["alaw", "g722"],
        "vlan": 42,
        "keys": [{"number": "102", "label": "Bruno"}, {"number": "103", "label": "Carla"}],
        "voicemail": "*97",
        "action_urls": {"answered": "https://crm.example/call?mac=$mac&to=$remote"},
        "firmware_url": "https://fw.example/phone.rom",
    }
)


def phone(model: str, **changes: Any) -> Phone:
    """Return a phone of a model with one TLS account and everything set."""
    values: dict[str, Any] = {
        "mac": MAC,
        "model": model,
        "url": URL,
        "server": Server("pbx01.example"),
        "accounts": (Account(ENDPOINT, "101", "Anna Rossi", SECRET),),
        "settings": SETTINGS,
        "passwords": PASSWORDS,
        "ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    }
    return Phone(**(values | changes))


def xml(content: str) -> Element:
    """Parse as a strict XML parser does; anything that is not well-formed is an error."""
    parsed: Element = fromstring(content.encode())
    return parsed


def yealink(content: str) -> dict[str, str]:
    """Read ``key = value`` lines; what is named twice has its values joined by a line."""
    first, *lines = content.splitlines()
    assert first == "#!version:1.0.0.1"
    found: dict[str, str] = {}
    for line in lines:
        name, between, value = line.partition(" = ")
        assert between, line
        assert re.fullmatch(r"[a-z0-9_.]+", name), line
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def snom(content: str) -> dict[str, str]:
    """Read settings as ``name`` or ``name!idx``, and function keys as ``fkey!idx``."""
    root = xml(content)
    assert root.tag == "settings"
    found = {}
    for part in root:
        for item in part:
            idx = item.get("idx")
            found[item.tag if idx is None else f"{item.tag}!{idx}"] = item.text or item.get("url") or ""
            if item.tag == "fkey":
                found[f"label!{idx}"] = item.get("label", "")
    return found


def grandstream(content: str) -> dict[str, str]:
    """Read P-values."""
    root = xml(content)
    assert (root.tag, root.get("version")) == ("gs_provision", "1")
    config = root.find("config")
    assert config is not None
    assert all(re.fullmatch(r"P\d+", item.tag) for item in config)
    assert len({item.tag for item in config}) == len(config), "a P-value appears twice"
    return {item.tag: item.text or "" for item in config}


def cisco(content: str) -> dict[str, str]:
    """Read a flat profile."""
    root = xml(content)
    assert root.tag == "flat-profile"
    return {item.tag: item.text or "" for item in root}


def polycom(content: str) -> dict[str, str]:
    """Read all attributes, whatever the elements are called: so do the phones."""
    return {name: value for item in xml(content).iter() for name, value in item.attrib.items()}


def fanvil(content: str) -> dict[str, str]:
    """Read the sectioned text."""
    lines = content.splitlines()
    assert lines[0].startswith("<<VOIP CONFIG FILE>>Version:2.")
    assert lines[-1] == "<<END OF FILE>>"
    found = {}
    for line in lines[1:-1]:
        if line and not re.fullmatch(r"<[A-Z ]+ CONFIG MODULE>", line):
            name, between, value = line.partition(":")
            assert between, line
            found[name.strip()] = value
    return found


def generic(content: str) -> dict[str, Any]:
    """Read the JSON document."""
    read: dict[str, Any] = json.loads(content)
    return read


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "cisco": cisco,
    "fanvil": fanvil,
    "generic": generic,
    "grandstream": grandstream,
    "polycom": polycom,
    "snom": snom,
    "yealink": yealink,
}
MODEL_OF = {
    "cisco": "cisco-spa504g",
    "fanvil": "fanvil-x4u",
    "generic": "generic",
    "grandstream": "grandstream-gxp2170",
    "polycom": "polycom-vvx450",
    "snom": "snom-d785",
    "yealink": "yealink-t54w",
}
