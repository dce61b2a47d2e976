"""Each role runs once with every variable changed: in a scenario of its own, or by a scenario's ``changed.yml``."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.roles.role_files import ROLES, ROOT, SCENARIOS, defaults, document, options, role_of

PUBLISHED = "Published for"
"""How the description of a variable begins that a role sets for others to read: nobody changes it."""


def states(role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the variables that each of the role's scenarios gives it, and those with its ``changed.yml`` on top."""
    for scenario in (each for each in SCENARIOS if role_of(each) == role):
        given = document(ROOT / "molecule" / scenario / "vars.yml") or {}
        yield scenario, given
        changed = ROOT / "molecule" / scenario / "changed.yml"
        if changed.exists():
            yield f"{scenario}/changed.yml", given | document(changed)


def unchanged(role: str, given: dict[str, Any]) -> set[str]:
    """Return the role's variables that such variables leave as they are by default."""
    ours = {name for name, option in options(role).items() if not str(option["description"]).startswith(PUBLISHED)}
    return {name for name in ours if name not in given or given[name] == defaults(role).get(name)}


@pytest.mark.parametrize("role", ROLES)
def test_some_scenario_changes_every_variable(role: str) -> None:
    left = {scenario: unchanged(role, given) for scenario, given in states(role)}
    least = min(left, key=lambda scenario: len(left[scenario]))
    assert not left[least], f"molecule/{least} leaves {', '.join(sorted(left[least]))} of {role} as they are by default"


@pytest.mark.parametrize(
    "scenario", [name for name in SCENARIOS if (ROOT / "molecule" / name / "changed.yml").exists()]
)
def test_what_is_changed_is_asked(scenario: str) -> None:
    """A test of another state must ask for it: one that does not is run before anything is changed."""
    folder = ROOT / "molecule" / scenario / "tests"
    asking = re.compile(r"changed: dict\[str, Any\]|usefixtures\([^)]*\"changed\"")
    assert any(asking.search(file.read_text(encoding="utf-8")) for file in folder.glob("*.py"))
    own = folder / "test_changed.py"
    if own.exists() and "\npytestmark = " not in (text := own.read_text(encoding="utf-8")):
        tests = re.findall(r"^def test_\w+\((.*?)\) -> None:", text, re.MULTILINE | re.DOTALL)
        assert all("changed: dict[str, Any]" in parameters for parameters in tests)
