"""The roles as files: what there is, and what is in it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))

Task = dict[str, Any]


@cache
def document(path: Path) -> Any:
    """Return what a YAML file says; an empty file says nothing."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def folder(role: str) -> Path:
    """Return the role's folder."""
    return ROOT / "roles" / role


def options(role: str) -> dict[str, dict[str, Any]]:
    """Return the role's variables as its argument spec describes them."""
    spec = document(folder(role) / "meta" / "argument_specs.yml")
    return dict(spec["argument_specs"]["main"].get("options", {}))


def defaults(role: str) -> dict[str, Any]:
    """Return the role's defaults, unrendered."""
    return document(folder(role) / "defaults" / "main.yml") or {}


def tasks(role: str) -> Iterator[Task]:
    """Yield every task of the role, those in blocks too, each with its blocks' variables."""
    for file in sorted((folder(role) / "tasks").glob("*.yml")):
        yield from _flat(document(file) or [], {})


def _flat(entries: list[Task], around: dict[str, Any]) -> Iterator[Task]:
    for entry in entries:
        variables = {**around, **entry.get("vars", {})}
        yield {**entry, "vars": variables}
        for part in ("block", "rescue", "always"):
            yield from _flat(entry.get(part, []), variables)


def role_of(scenario: str) -> str:
    """Return the role that a Molecule scenario tests."""
    variables = document(ROOT / "molecule" / scenario / "vars.yml") or {}
    return str(variables.get("role_under_test", scenario))
