"""A second run changes nothing: what answers in any order is sorted before it reaches a file."""

import re
from pathlib import Path

import pytest

from lab.paths import CHECKOUT

# Ansible's own filters work on Python's sets, whose order differs from process to process.
SETS = re.compile(r"\| *(?:difference|intersect|symmetric_difference|union)\(")
WIRING = sorted((CHECKOUT / "playbooks" / "group_vars").glob("*.yml"))


@pytest.mark.parametrize("file", WIRING, ids=lambda file: file.name)
def test_sets_are_sorted_where_the_roles_get_their_variables(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if SETS.search(line) and "| sort" not in line] == []
