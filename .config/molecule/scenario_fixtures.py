"""Fixtures for every scenario's tests, beside testinfra's own ``host`` (the machine that the role was applied to)."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

Exposure = Callable[[str], float]

CONVERGE = Path(__file__).with_name("converge.yml")


def within[T](seconds: float, look: Callable[[], T]) -> T:
    """Look again and again until there is something, for so long; return what the last look found."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def listens(host: Host, port: int) -> None:
    """Wait until something on the guest takes connections at a TCP port."""
    assert within(20, lambda: host.check_output(f"ss -Hltn 'sport = :{port}'")), f"nothing listens at port {port}"


def apply_role(*options: str) -> subprocess.CompletedProcess[str]:
    """Apply the scenario's role once more, with options of ansible-playbook's."""
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    return subprocess.run(  # noqa: S603 - our own words
        ["ansible-playbook", "--inventory", str(inventory), *options, str(CONVERGE)],  # noqa: S607 - molecule's own
        capture_output=True,
        text=True,
        check=False,
    )


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
