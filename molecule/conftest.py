"""What several scenarios' tests need: to apply the role once more, with other variables or with all of them changed."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from scenario_fixtures import Converge, Refused, answers, apply_role, apply_twice, listens
from testinfra.host import Host

TASK_FAILED = 2
"""ansible-playbook's exit code where a task failed; an unreachable guest's is another."""


@pytest.fixture(scope="session")
def converge() -> Converge:
    """Return a function that applies the role again; ``fails=True`` where it has to refuse."""

    def run(*, fails: bool = False, **variables: object) -> str:
        play = apply_role("--extra-vars", json.dumps(variables))
        wanted = TASK_FAILED if fails else 0
        if play.returncode != wanted:
            pytest.fail(
                f"Ansible ended with {play.returncode} in place of {wanted}:\n{play.stdout}{play.stderr}", pytrace=False
            )
        return play.stdout + play.stderr

    return run


@pytest.fixture(scope="module")
def refused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """Return a function that gives the role bad input and returns what it says.

    All that the module's tests have as their parameter ``variables`` is tried when the first of them asks.
    """
    cases = [
        item.callspec.params["variables"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and "refused" in item.fixturenames
    ]

    @cache
    def said() -> list[str]:
        return answers(cases, tmp_path_factory.mktemp("refused") / "playbook.json")

    def ask(variables: dict[str, object]) -> str:
        return " ".join(said()[cases.index(variables)].replace('\\"', '"').replace("''", "'").split())

    return ask


@pytest.fixture(scope="module")
def changed(host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Change every variable of the role on the running guest, and return those that ``changed.yml`` changes.

    It is laid over ``vars.yml``. Other roles that ``roles_before`` and ``roles_after`` name are applied with them, too.
    A second time, nothing may change. Tests that ask for it come last, when the others are done with the guest.
    """
    file = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"], "changed.yml")
    variables: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))

    options = ("--extra-vars", f"@{file}")

    def succeeds(play: subprocess.CompletedProcess[str]) -> None:
        if play.returncode:
            pytest.fail(f"with {file.name}, Ansible ended with {play.returncode}:\n{play.stdout}{play.stderr}", False)

    for name in variables.get("roles_before", []):
        succeeds(apply_role(*options, "--extra-vars", f"role_under_test={name}"))
    succeeds(apply_twice(tmp_path_factory.mktemp("changed") / "playbook.json", *options))
    for name in variables.get("roles_after", []):
        succeeds(apply_role(*options, "--extra-vars", f"role_under_test={name}"))
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
    return variables


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the end what changes every variable."""
    items.sort(key=lambda item: "changed" in getattr(item, "fixturenames", ()))


@pytest.fixture
def integrity_report(host: Host) -> Callable[[], str]:
    """Return a function that looks which files have changed since the last look, and returns what the journal says."""

    def look() -> str:
        host.check_output("systemctl start centralino-integrity.service")
        run = host.check_output("systemctl show --property=InvocationID --value centralino-integrity.service")
        host.check_output("journalctl --sync")
        return str(host.check_output("journalctl --output=cat _SYSTEMD_INVOCATION_ID=%s", run))

    return look


@pytest.fixture
def beyond_profile(host: Host) -> Callable[[str], list[str]]:
    """Return a function that names the files of a running unit for which ``centralino-<unit>`` has no rule.

    No kernel here enforces the profile, so what the process has open and mapped is held against its rules. What every
    program has, the system's libraries and devices, is in the abstractions that the profile includes.
    """

    def ask(unit: str) -> list[str]:
        profile = host.file(f"/etc/apparmor.d/centralino-{unit.removeprefix('centralino-')}").content_string
        rules = re.findall(r"^  (?:owner )?(/\S+) [a-z]+,$", profile, re.MULTILINE)
        globs = [re.escape(rule).replace(r"\*\*", ".+").replace(r"\*", "[^/]*") for rule in rules]
        known = re.compile("|".join([*globs, r"/(dev|proc|sys|memfd:|usr/lib/[^/]+-linux-gnu|usr/lib/locale)\b.*"]))
        pid = host.check_output("systemctl show --property MainPID --value %s", unit)
        files = host.check_output(
            "(readlink /proc/%s/exe /proc/%s/fd/*; awk '{print $6}' /proc/%s/maps) | grep ^/ | sort -u", pid, pid, pid
        )
        assert rules, "the profile has no rule for a file"
        return [file for file in files.splitlines() if not known.fullmatch(file.removesuffix(" (deleted)"))]

    return ask


@pytest.fixture(scope="module")
def pebble(host: Host) -> Iterator[Callable[..., None]]:
    """Return a function that runs pebble, the ACME server for tests, on the guest at port 14000.

    It resolves every name to the guest and is told of others' records at port 8055. Keyword arguments are its options.
    """
    host.check_output("apt-get -qq install --yes --no-install-recommends pebble >/dev/null")
    address = str(host.ansible.get_variables()["ansible_host"])
    certificate = f"/etc/centralino/pki/{host.ansible.get_variables()['inventory_hostname']}"

    def run(**options: object) -> None:
        names = [
            "-dns01=127.0.0.1:8053",
            "-management=127.0.0.1:8055",
            f"-defaultIPv4={address}",
            *(f"-{unused}=" for unused in ("defaultIPv6", "http01", "https01", "tlsalpn01")),
        ]
        if "-doh" in host.run("pebble-challtestsrv -help").stderr:
            names.append("-doh=")
        config = {
            "listenAddress": "0.0.0.0:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": f"{certificate}.crt",
            "privateKey": f"{certificate}.key",
            "httpPort": 80,
            "tlsPort": 5001,
            **options,
        }
        host.check_output("printf %%s %s > /run/pebble.json", json.dumps({"pebble": config}))
        host.check_output(f"systemd-run --quiet --collect --unit=pebble-names pebble-challtestsrv {' '.join(names)}")
        # It refuses every 20th good nonce, so that clients learn to ask again: certbot asks once and then gives up.
        environment = "--setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
        server = "pebble -config /run/pebble.json -dnsserver 127.0.0.1:8053"
        host.check_output(f"systemd-run --quiet --collect --unit=pebble {environment} {server}")
        listens(host, 14000)

    yield run
    host.check_output("systemctl stop pebble pebble-names; systemctl stop centralino-acme")
