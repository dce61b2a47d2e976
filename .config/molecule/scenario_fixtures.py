"""Fixtures for every scenario's tests, beside testinfra's own ``host`` (the machine that the role was applied to)."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

Exposure = Callable[[str], float]
Converge = Callable[..., str]
"""Applies the role; keyword arguments are variables. Returns what Ansible said."""
Refused = Callable[[dict[str, object]], str]
"""Gives the role bad input; returns what Ansible said, on one line."""

CONVERGE = Path(__file__).with_name("converge.yml")
TAKEN = "The role took it."
AGAIN = "Once more"


def within[T](seconds: float, look: Callable[[], T]) -> T:
    """Look again and again until there is something, for so long; return what the last look found."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def listens(host: Host, port: int) -> None:
    """Wait until something on the guest takes connections at a TCP port."""
    assert within(20, lambda: host.check_output(f"ss -Hltn 'sport = :{port}'")), f"nothing listens at port {port}"


def apply_role(*options: str, playbook: Path = CONVERGE) -> subprocess.CompletedProcess[str]:
    """Apply the scenario's role once more, with options of ansible-playbook's."""
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    return subprocess.run(  # noqa: S603 - our own words
        ["ansible-playbook", "--inventory", str(inventory), *options, str(playbook)],  # noqa: S607 - molecule's own
        capture_output=True,
        text=True,
        check=False,
    )


def converge_play() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the play of converge.yml, and its one task, which applies the role."""
    (play,) = yaml.safe_load(CONVERGE.read_text(encoding="utf-8"))
    (application,) = play["tasks"]
    return play, application


def apply_twice(playbook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Apply the role once more, and once more in the same run, where nothing may change."""
    play, application = converge_play()
    handlers = {"name": "Let handlers run", "ansible.builtin.meta": "flush_handlers"}
    again = {"name": AGAIN, "ansible.builtin.debug": {"msg": ""}}
    playbook.write_text(json.dumps([{**play, "tasks": [application, handlers, again, application]}]), encoding="utf-8")
    run = apply_role(*options, playbook=playbook)
    _, found, second = run.stdout.partition(f"TASK [{AGAIN}]")
    if run.returncode == 0:
        assert found, run.stdout
        assert not re.search(r"^changed: ", second, re.MULTILINE), second
    return run


def answers(cases: Sequence[Mapping[str, Any]], playbook: Path) -> list[str]:
    """Apply the role with each case's variables, in one run; return what Ansible said of each.

    A run of its own for each would take seconds. Raises :class:`AssertionError` where the role took one.
    """
    play, application = converge_play()
    tasks: list[dict[str, Any]] = []
    for number, variables in enumerate(cases):
        taken = {"name": "Say that it was taken", "ansible.builtin.fail": {"msg": TAKEN}}
        rescue = {"name": "Go on", "ansible.builtin.meta": "noop"}
        tasks += [
            {"name": f"Case {number}", "ansible.builtin.debug": {"msg": ""}},
            {"name": "See it refused", "block": [{**application, "vars": dict(variables)}, taken], "rescue": [rescue]},
        ]
    playbook.write_text(json.dumps([{**play, "tasks": tasks}]), encoding="utf-8")
    run = apply_role(playbook=playbook)
    _, *said = re.split(r"^TASK \[Case \d+\]", run.stdout, flags=re.MULTILINE)
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(said) == len(cases), run.stdout
    for answer in said:
        assert TAKEN not in answer, answer
    return said


@pytest.fixture(scope="session")
def controller() -> Host:
    """Return the machine that runs the tests: what it reaches, a stranger on the network reaches."""
    return testinfra.get_host("local://")


@pytest.fixture(scope="session")
def variables() -> dict[str, Any]:
    """Return the scenario's vars.yml as it is written: templates in it are not filled in."""
    text = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"], "vars.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text) or {}


@pytest.fixture
def address(host: Host) -> str:
    """Return the address of the machine that the role was applied to."""
    return str(host.ansible.get_variables()["ansible_host"])


@pytest.fixture
def exposure(host: Host) -> Exposure:
    """Return a function that rates a unit's sandbox: from 0.0, confined, to 10.0, as systemd-analyze(1) does."""

    def rate(unit: str) -> float:
        verdict = host.check_output("systemd-analyze security --no-pager %s", unit).splitlines()[-1]
        return float(verdict.split(": ")[1].split()[0])

    return rate
