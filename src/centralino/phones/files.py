"""Which file a request means, and what is in it."""

import re
from collections.abc import Iterable
from dataclasses import replace

from centralino.phones.phone import Entry, File, Phone
from centralino.phones.vendors import vendor_of
from centralino.phones.vendors.vendor import XML, Template

PHONEBOOK = "phonebook.xml"
AUTHORITY = "ca.crt"

_MAC_IN_NAME = re.compile(r"(?:cfg)?([0-9a-f]{12})(?:-[a-z]+)?\.[a-z]{2,5}", re.IGNORECASE)


def mac_in(name: str) -> str | None:
    """Return the MAC that a file's name carries in any vendor's way, in small letters; None in other names."""
    match = _MAC_IN_NAME.fullmatch(name)
    return match[1].lower() if match and match[1].strip("0") else None


def template_of(model: str, mac: str, name: str) -> Template | None:
    """Return what renders the file that a phone of this model calls ``name``, or None where it has no such file."""
    for pattern, template in vendor_of(model).files.items():
        if pattern.format(mac=mac) == name.lower():
            return template
    return None


def without_secrets(phone: Phone) -> Phone:
    """Return the phone with everything but its passwords."""
    return replace(phone, passwords=None, accounts=tuple(replace(account, secret=None) for account in phone.accounts))


def render(template: Template, phone: Phone) -> File:
    """Return a phone's file."""
    return File(template.render(phone).encode(), template.media_type)


def phonebook(model: str, entries: Iterable[Entry]) -> File | None:
    """Return the directory as a model reads it, in the order given; None for a vendor that has no such thing."""
    written = vendor_of(model).phonebook
    return File(written(entries).encode(), XML) if written else None
