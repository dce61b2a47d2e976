"""scripts/molecule with a molecule of the test's own: which scenarios run, how often, and what is told of them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "molecule"
SCENARIOS = ("broken", "busy", "sound")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of three scenarios: the first fails always, the second the first time, the third never."""
    for scenario in SCENARIOS:
        (tmp_path / "molecule" / scenario).mkdir(parents=True)
        (tmp_path / "molecule" / scenario / "molecule.yml").touch()
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts" / "molecule")
    molecule = tmp_path / ".venv" / "bin" / "molecule"
    molecule.parent.mkdir(parents=True)
    molecule.write_text(
        """#!/bin/sh
        echo "$3" >> runs
        echo "FAILED try $(grep --count "$3" runs) of $3"
        [ "$3" = sound ] || { [ "$3" = busy ] && [ "$(grep --count busy runs)" -gt 1 ]; }
        """
    )
    molecule.chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script; the folder's file `runs` then holds a line for each run of a scenario."""
    command = [sys.executable, str(checkout / "scripts" / "molecule"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def runs(checkout: Path) -> dict[str, int]:
    """Return how often each scenario ran."""
    lines = (checkout / "runs").read_text().split()
    return {scenario: lines.count(scenario) for scenario in SCENARIOS}


def test_scenario_that_failed_is_tested_once_more_and_told_apart(checkout: Path) -> None:
    done = run(checkout)
    assert runs(checkout) == {"broken": 2, "busy": 2, "sound": 1}
    assert done.returncode == 1
    table = {line.split()[0]: line for line in done.stdout.splitlines() if " s  " in line}
    assert table["sound"].endswith(" s  passed")
    assert table["busy"].endswith("passed at the second try")
    assert table["broken"].endswith("FAILED")
    assert "2 passed, 1 failed" in done.stdout


def test_first_failure_s_reason_is_shown_and_its_output_kept(checkout: Path) -> None:
    assert "busy.first:\n  FAILED try 1 of busy" in run(checkout).stdout
    logs = checkout / ".build" / "molecule"
    assert (logs / "busy.first.log").read_text() == "FAILED try 1 of busy\n"
    assert (logs / "busy.log").read_text() == "FAILED try 2 of busy\n"


def test_second_try_alone_lets_the_whole_pass(checkout: Path) -> None:
    shutil.rmtree(checkout / "molecule" / "broken")
    assert run(checkout).returncode == 0


def test_named_scenario_has_one_try(checkout: Path) -> None:
    assert run(checkout, "busy").returncode == 1
    assert runs(checkout)["busy"] == 1


def test_unknown_scenario_is_refused_with_those_that_there_are(checkout: Path) -> None:
    done = run(checkout, "sonud")
    assert done.returncode == 2
    assert "molecule/ has no sonud: there is broken, busy, sound" in done.stderr
