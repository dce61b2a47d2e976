"""What several scenarios' tests need: to apply the role once more, with other variables."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Converge = Callable[..., str]
"""Applies the role; keyword arguments are variables. Returns what Ansible said."""

PLAYBOOK = Path(__file__).parent.parent / ".config" / "molecule" / "converge.yml"


@pytest.fixture(scope="session")
def converge() -> Converge:
    """Return a function that applies the role again; ``fails=True`` where it has to refuse."""

    def run(*, fails: bool = False, **variables: object) -> str:
        inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
        command = [
            "ansible-playbook",
            "--inventory",
            str(inventory),
            "--extra-vars",
            json.dumps(variables),
            str(PLAYBOOK),
        ]
        play = subprocess.run(command, capture_output=True, text=True, check=False)
        if (play.returncode != 0) != fails:
            pytest.fail(
                f"the role was {'applied' if fails else 'not applied'}:\n{play.stdout}{play.stderr}", pytrace=False
            )
        return play.stdout + play.stderr

    return run
