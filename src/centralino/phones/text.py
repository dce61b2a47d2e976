"""Writing values that a stranger may have chosen into the formats of phones."""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, indent, tostring

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ufffe\uffff\ud800-\udfff]+")


def clean(value: object) -> str:
    """Return a value as text on one line: what could begin another line, or is no character of XML 1.0, is a space."""
    return _UNPRINTABLE.sub(" ", str(value)).strip()


def lines(pairs: Iterable[tuple[str, object]], *, between: str = " = ") -> str:
    """Return ``key = value`` lines."""
    return "".join(f"{key}{between}{clean(value)}\n" for key, value in pairs)


def element(tag: str, text: object = "", /, **attributes: object) -> Element:
    """Return an element with cleaned text and attributes."""
    made = Element(tag, {name: clean(value) for name, value in attributes.items()})
    made.text = clean(text) or None
    return made


def branch(tag: str, children: Iterable[Element], /, **attributes: object) -> Element:
    """Return an element that holds others."""
    made = element(tag, **attributes)
    made.extend(children)
    return made


def document(root: Element) -> str:
    """Return an XML document, one element a line."""
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode", short_empty_elements=False) + "\n"
