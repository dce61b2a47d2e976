"""What holds after every role, whatever it is."""

# ruff: noqa: D103 - tests; pytest is given the path

import re

import pytest
from scenario_fixtures import apply_role
from testinfra.host import Host


def test_check_mode_finds_nothing_to_change() -> None:
    play = apply_role("--check", "--diff")
    changes = [int(count) for count in re.findall(r"\bchanged=(\d+)", play.stdout)]
    if play.returncode or not changes or any(changes):
        pytest.fail(f"check mode on the converged host:\n{play.stdout}{play.stderr}", pytrace=False)


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
