"""What the Makefile makes of the programs that it calls."""

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize(("code", "ended"), [(0, 0), (2, 0), (1, 2)])
def test_a_plan_with_something_to_do_is_no_error(tmp_path: Path, code: int, ended: int) -> None:
    """The provisioner says so by its exit code 2; 1 is an error, and 2 is what make makes of one."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {code}\n")
    python.chmod(0o755)
    make = ["make", "--old-file=.venv/.complete", "plan", f"python={python}"]
    assert subprocess.run(make, cwd=CHECKOUT, capture_output=True, check=False).returncode == ended
