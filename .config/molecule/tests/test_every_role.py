"""What holds after every role, whatever it is."""

# ruff: noqa: D103 - tests; pytest is given the path

import os
import re
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

CONVERGE = Path(__file__).parent.parent / "converge.yml"


def test_check_mode_finds_nothing_to_change() -> None:
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    command = ["ansible-playbook", "--inventory", str(inventory), "--check", "--diff", str(CONVERGE)]
    play = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    changes = [int(count) for count in re.findall(r"\bchanged=(\d+)", play.stdout)]
    if play.returncode or not changes or any(changes):
        pytest.fail(f"check mode on the converged host:\n{play.stdout}{play.stderr}", pytrace=False)


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
