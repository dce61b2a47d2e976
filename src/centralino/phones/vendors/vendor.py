"""What a vendor's module tells about its phones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from centralino.contract.phones import Key
from centralino.phones import text
from centralino.phones.models import MODELS
from centralino.phones.phone import Entry, Phone

XML = "text/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Template:
    """One file of a phone. ``secret`` tells whether it holds passwords while they are handed out."""

    render: Callable[[Phone], str]
    media_type: str
    secret: bool = True


@dataclass(frozen=True)
class Vendor:
    """The files that a vendor's phones ask for, by name with ``{mac}`` in it, and how they take them."""

    files: Mapping[str, Template]
    keeps: bool = True
    """Whether a phone keeps what its file does not name; one that does not is given no file without its secrets."""
    phonebook: Callable[[Iterable[Entry]], str] | None = None


def spare_accounts(phone: Phone) -> range:
    """Return the numbers of the accounts that nothing lives on: one that its file does not turn off, a phone keeps.

    It would go on registering a device that has moved to another phone, each throwing the other out.
    """
    return range(len(phone.accounts) + 1, MODELS[phone.model].accounts + 1)


def key_places(phone: Phone) -> list[tuple[int, Key]]:
    """Return the keys with their places: the first ones, from 1, stand for the accounts, and there are only so many."""
    places = range(len(phone.accounts) + 1, MODELS[phone.model].keys + 1)
    return list(zip(places, phone.settings.keys, strict=False))


def directory_entries(entries: Iterable[Entry]) -> Iterator[Element]:
    """Return a phonebook's entries in the form that several vendors share."""
    for entry in entries:
        yield text.branch("DirectoryEntry", [text.element("Name", entry.name), text.element("Telephone", entry.number)])
