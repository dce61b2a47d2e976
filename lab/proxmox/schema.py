"""The API's schema: which method a path names, and whether a request's parameters fit it.

Messages are those of Proxmox VE (PVE::JSONSchema), so that a client sees here what it would see there.
"""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lab.proxmox.errors import ApiError, ParameterError
from lab.proxmox.formats import NAMED, check_ssh_keys

FACTS = Path(__file__).parent / "facts" / "pve-api-9.1.json.gz"

_FORMAT_ERROR = "invalid format - format error"

Value = str | int | float | list[str]
"""A checked parameter: booleans are 0 and 1."""


INDEXES = {
    "hostpci": 16, "ide": 4, "ipconfig": 32, "net": 32, "numa": 8, "parallel": 3, "sata": 6, "scsi": 31, "serial": 4,
    "unused": 256, "usb": 14, "virtio": 16, "virtiofs": 10,
}  # fmt: skip
"""How many of an indexed parameter there are (qm(1)); the schema writes ``net[n]`` alone."""


@dataclass(frozen=True)
class Method:
    """One method of the API."""

    verb: str
    path: str
    """With its variables: ``/nodes/{node}/qemu``."""
    parameters: Mapping[str, Any]
    permissions: Mapping[str, Any]
    allow_token: bool


@dataclass
class _Branch:
    children: dict[str, "_Branch"] = field(default_factory=dict)
    variable: str = ""
    methods: dict[str, Method] = field(default_factory=dict)


class Schema:
    """All methods of the API."""

    def __init__(self, facts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._root = _Branch()
        for path, verbs in facts.items():
            branch = self._root
            for part in path.strip("/").split("/"):
                if part.startswith("{"):
                    branch.variable = part[1:-1]
                    part = "{}"  # noqa: PLW2901
                branch = branch.children.setdefault(part, _Branch())
            for verb, facts_of_method in verbs.items():
                branch.methods[verb] = Method(
                    verb=verb,
                    path=path,
                    parameters=facts_of_method.get("parameters", {}).get("properties", {}),
                    permissions=facts_of_method.get("permissions", {}),
                    allow_token=bool(facts_of_method.get("allowtoken", 1)),
                )

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """Return the method that a request's (still encoded) path names, with the values of the path's variables.

        Raises :class:`ApiError` 501 where there is none.
        """
        branch, values, parts = self._root, dict[str, str](), path.strip("/").split("/")
        for index, part in enumerate(parts):
            if part in branch.children:
                branch = branch.children[part]
            elif "{}" in branch.children:
                if branch.variable == "volume":  # a volume's name holds slashes
                    values["volume"] = unquote("/".join(parts[index:]))
                    branch = branch.children["{}"]
                    break
                values[branch.variable] = unquote(part)
                branch = branch.children["{}"]
            else:
                raise ApiError(501, f"Method '{verb} {path}' not implemented")
        if verb not in branch.methods:
            raise ApiError(501, f"Method '{verb} {path}' not implemented")
        return branch.methods[verb], values


@cache
def load() -> Schema:
    """Return the schema of Proxmox VE 9.1."""
    return Schema(json.loads(gzip.decompress(FACTS.read_bytes())))


def check(method: Method, given: Mapping[str, Any]) -> dict[str, Value]:
    """Return the parameters in their types.

    Raises :class:`ParameterError` (400), which names every parameter that does not fit.
    """
    errors: dict[str, str] = {}
    checked: dict[str, Value] = {}
    for name, value in given.items():
        rule = _rule(method.parameters, name)
        if rule is None:
            errors[name] = "property is not defined in schema and the schema does not allow additional properties"
            continue
        try:
            checked[name] = _check_value(rule, value)
            if name == "sshkeys":
                check_ssh_keys(str(value))
        except ValueError as error:
            errors[name] = str(error)
        required = rule.get("requires")
        if required and required not in given:
            errors.setdefault(required, f"missing property - '{name}' requires this property")
    for name, rule in method.parameters.items():
        if not rule.get("optional") and name not in given and not name.endswith("[n]"):
            errors.setdefault(name, "property is missing and it is not optional")
    if errors:
        raise ParameterError(errors)
    return checked


def _rule(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    if name in parameters and not name.endswith("[n]"):
        rule: Mapping[str, Any] = parameters[name]
        return rule
    indexed = re.fullmatch(r"([a-z]+)(0|[1-9]\d{0,3})", name, re.ASCII)
    if indexed is None or int(indexed[2]) >= INDEXES.get(indexed[1], 10_000):
        return None
    return parameters.get(f"{indexed[1]}[n]")


def _check_value(rule: Mapping[str, Any], value: Any) -> Value:  # noqa: ANN401 (a form's or JSON's value)
    kind = rule.get("type", "string")
    if kind == "array":
        items = value if isinstance(value, list) else [value]
        return [str(_check_value(rule.get("items", {}), item)) for item in items]
    if isinstance(value, list | dict) or value is None:
        raise ValueError(f"type check ('{kind}') failed - got {'ARRAY' if isinstance(value, list) else 'HASH'}")
    text = str(value)
    typed: Value = text
    if kind == "boolean":
        if text not in ("0", "1"):
            raise ValueError(f"type check ('boolean') failed - got '{text}'")
        return int(text)
    if kind == "integer":
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise ValueError(f"type check ('integer') failed - got '{text}'")
        typed = int(text)
    elif kind == "number":
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
            raise ValueError(f"type check ('number') failed - got '{text}'")
        typed = float(text)
    _check_limits(rule, text, typed)
    _check_format(rule, text)
    return typed


def _check_limits(rule: Mapping[str, Any], text: str, typed: Value) -> None:
    if isinstance(typed, int | float):
        if "minimum" in rule and typed < float(rule["minimum"]):
            raise ValueError(f"value must have a minimum value of {rule['minimum']}")
        if "maximum" in rule and typed > float(rule["maximum"]):
            raise ValueError(f"value must have a maximum value of {rule['maximum']}")
    if "enum" in rule and text not in [str(item) for item in rule["enum"]]:
        raise ValueError(
            f"value '{text}' does not have a value in the enumeration '{', '.join(map(str, rule['enum']))}'"
        )
    if "maxLength" in rule and len(text) > int(rule["maxLength"]):
        raise ValueError(f"value may only be {rule['maxLength']} characters long")
    if "minLength" in rule and len(text) < int(rule["minLength"]):
        raise ValueError(f"value must be at least {rule['minLength']} characters long")
    if "pattern" in rule and not expression(rule["pattern"]).fullmatch(text):
        raise ValueError("value does not match the regex pattern")


@cache
def expression(perl: str) -> re.Pattern[str]:
    """Return a pattern of the schema as Python's: Perl writes its compiled patterns as ``(?^:…)``."""
    return re.compile(perl.replace("(?^:", "(?:").replace("(?^i:", "(?i:"), re.ASCII)


def _check_format(rule: Mapping[str, Any], text: str) -> None:
    wanted = rule.get("format")
    if isinstance(wanted, dict):
        parse_properties(wanted, text)
        return
    if not isinstance(wanted, str):
        return
    if wanted.endswith("-opt") and not text:
        return
    base = wanted.removesuffix("-opt")
    if base not in NAMED and base.endswith("-list"):
        base = base.removesuffix("-list")
        items = [item for item in re.split(r"[,;\s\0]+", text) if item]
    else:
        items = [text]
    named = NAMED.get(base)
    for item in items:
        if isinstance(named, dict):
            parse_properties(named, item)
        elif named is not None:
            try:
                named(item)
            except ValueError as error:
                raise ValueError(f"invalid format - {error}") from error


def parse_properties(wanted: Mapping[str, Any], text: str) -> dict[str, Value]:
    """Return the parts of a property string such as ``virtio,bridge=vmbr0`` by name, aliases resolved.

    Raises :class:`ValueError` with the API's words.
    """
    raw = _split_properties(wanted, text)
    errors: dict[str, str] = {}
    parts: dict[str, Value] = {}
    for key, value in raw.items():
        if key not in wanted:
            errors[key] = "property is not defined in schema and the schema does not allow additional properties"
            continue
        try:
            parts[key] = _check_value(wanted[key], value)
        except ValueError as error:
            errors[key] = str(error)
        if (required := wanted[key].get("requires")) and required not in raw:
            errors[required] = f"missing property - '{key}' requires this property"
    for key, rule in wanted.items():
        if "alias" not in rule and not rule.get("optional") and key not in raw:
            errors[key] = "property is missing and it is not optional"
    if errors:
        raise ValueError(f"{_FORMAT_ERROR}\n" + "".join(f"{key}: {fault}\n" for key, fault in errors.items()))
    return parts


def _split_properties(wanted: Mapping[str, Any], text: str) -> dict[str, str]:
    default = next((key for key, rule in wanted.items() if rule.get("default_key")), None)
    raw: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            if default is None or default in raw:
                raise ValueError(
                    f"{_FORMAT_ERROR}\n{part}: value without key, but schema does not define a default key"
                )
            key, value = default, part
        if alias := wanted.get(key, {}).get("alias"):
            if named := wanted[key].get("keyAlias"):  # virtio=MAC says model and address in one
                raw[named] = key
            key = alias
        if key in raw:
            raise ValueError(f"invalid format - duplicate key in comma-separated list property: {key}")
        raw[key] = value
    return raw
