"""Evaluates variables as Ansible does, once for all hosts for which the same is written.

Most of what 200 guests are told stands in one file for all of them. Whatever a template names, and what that names in
turn, is looked at as it is written; hosts for which all of it is the same share the result.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

_ASKERS = frozenset(("lookup", "q", "query"))
_CLOSED = frozenset(("env", "file"))
"""Lookups that see nothing but what they are told, and say the same each time."""
_CHANCE = frozenset(("random", "shuffle"))
_OPEN = frozenset(("vars", "hostvars"))
"""Names behind which any variable may stand."""

Key = tuple[str, frozenset[tuple[str, str]]]


class Evaluator:
    """Keeps what was evaluated while one inventory is read."""

    def __init__(self) -> None:
        self._known: dict[Key, object] = {}

    def value(self, name: str, raw: Mapping[str, Any], templar: Any) -> object:  # noqa: ANN401 (Ansible is not typed)
        """Return the value of a host's variable. Raises Ansible's errors."""
        key = _key(name, raw)
        if key is None:
            value: object = templar.template(raw[name])
            return value
        if key not in self._known:
            self._known[key] = templar.template(raw[name])
        return self._known[key]


def _key(name: str, raw: Mapping[str, Any]) -> Key | None:
    """Return all that is written where a variable's value comes from; None where that does not show."""
    written: dict[str, str] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        if one in written:
            continue
        value = raw.get(one)
        written[one] = f"{type(value).__name__} {value}"
        for text in _texts(value):
            names = _names(str(text))
            if names is None:
                return None
            todo += names
    return name, frozenset(written.items())


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in (*value, *value.values()):
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


@cache
def _names(text: str) -> tuple[str, ...] | None:
    """Return the variables that a template names; None where it may see others too."""
    if "{{" not in text and "{%" not in text:
        return ()
    try:
        tree = Environment(autoescape=False).parse(text)  # noqa: S701 (nothing is rendered)
    except TemplateSyntaxError:
        return None  # Ansible says what is wrong with it
    names = {name.name for name in tree.find_all(nodes.Name)}
    by_chance = any(one.name in _CHANCE for one in tree.find_all(nodes.Filter))
    if names & _OPEN or by_chance or not all(_is_closed(call) for call in tree.find_all(nodes.Call)):
        return None
    return tuple(names)


def _is_closed(call: nodes.Call) -> bool:
    if not isinstance(call.node, nodes.Name) or call.node.name not in _ASKERS:
        return True
    first = call.args[0] if call.args else None
    return isinstance(first, nodes.Const) and str(first.value).removeprefix("ansible.builtin.") in _CLOSED
