"""The objects that a rendered file makes inside Asterisk, and how two sets of them differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_NAMED = 5
"""Differences that a message names; the rest is a number."""


class Kind(StrEnum):
    """What an object is, in the words of Asterisk's own listings."""

    ENDPOINT = "endpoint"
    AUTH = "auth"
    AOR = "aor"
    EXTENSION = "extension"
    HINT = "hint"
    PARKING_LOT = "parking lot"


class Object(NamedTuple):
    """One object: an endpoint ``t175-…``, an extension ``101@t175-internal`` or a hint ``101@…: PJSIP/…``."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Rendered:
    """A file's text, and the objects that an Asterisk has when it has read it."""

    text: str
    objects: frozenset[Object]


Objects = Mapping[str, frozenset[Object]]
"""The objects by the file that makes them."""


def changed_files(wanted: Objects, found: Objects) -> tuple[str, ...]:
    """Return the files whose objects are not those that are found, in the order of ``wanted``."""
    return tuple(name for name, objects in wanted.items() if found.get(name, frozenset()) != objects)


def differences(wanted: Objects, found: Objects) -> str:
    """Return a sentence on what is missing and what is there unasked; empty where nothing is."""
    all_wanted, all_found = frozenset().union(*wanted.values()), frozenset().union(*found.values())
    parts = [("missing", all_wanted - all_found), ("not asked for", all_found - all_wanted)]
    return "; ".join(f"{what}: {_listed(objects)}" for what, objects in parts if objects)


def _listed(objects: Iterable[Object]) -> str:
    texts = sorted(f"{kind} {name}" for kind, name in objects)
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
