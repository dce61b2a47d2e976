"""Every role has one shape, and says of its variables one thing in three places."""

import re
import subprocess
import sys
from ipaddress import IPv4Address
from typing import Any

import pytest

from tests.unit.roles.role_files import ROLES, ROOT, SCENARIOS, defaults, document, folder, options, role_of, tasks

REQUIRED = (
    "README.md",
    "defaults/main.yml",
    "meta/argument_specs.yml",
    "meta/main.yml",
    "tasks/main.yml",
    "tasks/preflight.yml",
)
CONFINED = ("dhcpd", "kea-dhcp4", "kea-dhcp6", "mariadbd", "named", "ntpd", "tcpdump")
"""Programs with an AppArmor profile of Debian's, which lets none of them read Ansible's temporary files."""
every_role = pytest.mark.parametrize("role", ROLES)


@every_role
@pytest.mark.parametrize("file", REQUIRED)
def test_the_file_is_there(role: str, file: str) -> None:
    assert (folder(role) / file).is_file()


@every_role
def test_it_is_tested(role: str) -> None:
    scenarios = [scenario for scenario in SCENARIOS if role_of(scenario) == role]
    assert scenarios, f"no scenario in molecule/ tests {role}"
    for scenario in scenarios:
        assert list((ROOT / "molecule" / scenario / "tests").glob("test_*.py")), f"molecule/{scenario} asks nothing"


@every_role
def test_main_is_a_table_of_contents(role: str) -> None:
    def check(entry: dict[str, Any]) -> None:
        steps = {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"} & entry.keys()
        assert steps or "block" in entry, f"tasks/main.yml does something itself: {entry.get('name')}"
        for inner in entry.get("block", []):
            check(inner)

    for entry in document(folder(role) / "tasks" / "main.yml"):
        check(entry)


@every_role
def test_what_it_enables_can_be_enabled(role: str) -> None:
    """A unit without an [Install] section is "static": enabling it does nothing, and no boot starts it."""
    for task in tasks(role):
        service = task.get("ansible.builtin.systemd_service") or task.get("ansible.builtin.systemd") or {}
        unit = folder(role) / "templates/etc/systemd/system" / f"{service.get('name')}.j2"
        if service.get("enabled") not in (None, False) and unit.is_file():
            assert "\n[Install]\n" in unit.read_text(), f"{unit.stem} would not be there after a reboot"


@every_role
def test_it_depends_on_no_other_role(role: str) -> None:
    assert document(folder(role) / "meta" / "main.yml").get("dependencies", []) == []
    modules = {key.rsplit(".", 1)[-1] for task in tasks(role) for key in task}
    assert not modules & {"import_role", "include_role"}, "a role never applies another"


@every_role
def test_defaults_and_spec_name_the_same_variables(role: str) -> None:
    described = {name for name, option in options(role).items() if not option.get("required")}
    assert defaults(role).keys() == described


@every_role
def test_defaults_and_spec_give_the_same_defaults(role: str) -> None:
    described = {name: option["default"] for name, option in options(role).items() if "default" in option}
    actual = {name: value for name, value in defaults(role).items() if name in described}
    assert actual == described


@every_role
def test_every_variable_is_the_roles_own_and_described(role: str) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role}_"), f"{name} does not begin with the role's name"
        assert option.get("description"), f"{name} is not described"
        assert "type" in option, f"{name} has no type"


@every_role
def test_inner_variables_are_marked_as_such(role: str) -> None:
    file = folder(role) / "vars" / "main.yml"
    inner = set(document(file) or {}) if file.exists() else set()
    inner |= {task["register"] for task in tasks(role) if "register" in task}
    for task in tasks(role):
        for key in ("ansible.builtin.set_fact", "set_fact"):
            inner |= set(task.get(key, {})) - {"cacheable"}
    strangers = {name for name in inner if not name.startswith(f"__{role}_")}
    assert not strangers, f"not __{role}_…: {', '.join(sorted(strangers))}"


@every_role
def test_no_failure_is_ignored(role: str) -> None:
    for task in tasks(role):
        assert "ignore_errors" not in task, f"{task.get('name')} ignores errors"


@every_role
def test_preflight_speaks_in_sentences(role: str) -> None:
    def entries(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [inner for item in items for inner in ([item] if "block" not in item else entries(item["block"]))]

    for task in entries(document(folder(role) / "tasks" / "preflight.yml")):
        check = task.get("ansible.builtin.assert")
        if check:
            message = str(check.get("fail_msg", ""))
            assert re.search(r"[.…}]\s*$", message), f"{task['name']}: no sentence that says what to do"


def test_the_tables_in_the_readmes_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "role-readme"), "--check"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_no_two_scenarios_share_a_name_or_an_address() -> None:
    seen: dict[str, str] = {}
    for scenario in SCENARIOS:
        config = document(ROOT / "molecule" / scenario / "molecule.yml")
        for host, variables in config["provisioner"]["inventory"]["hosts"]["all"]["hosts"].items():
            address = variables["ansible_host"]
            assert IPv4Address("198.18.0.150") <= IPv4Address(address) <= IPv4Address("198.18.0.189")
            for key in (host, address):
                assert key not in seen, f"{scenario} and {seen[key]} share {key}"
                seen[key] = scenario


@every_role
def test_what_checks_a_file_may_read_it(role: str) -> None:
    texts = [path.read_text() for part in ("tasks", "vars") for path in (folder(role) / part).glob("*.yml")]
    directly = re.compile(rf"\b(?:{'|'.join(CONFINED)})\b[^;&|\n]*%s")
    assert [found[0] for text in texts for found in directly.finditer(text)] == []
