"""Every template renders as its task would, from defaults and a scenario's variables; an undefined one is an error."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager  # type: ignore[import-untyped]
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.plugins.loader import init_plugin_loader  # type: ignore[import-untyped]
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]
from ansible.vars.hostvars import HostVars  # type: ignore[import-untyped]
from ansible.vars.manager import VariableManager  # type: ignore[import-untyped]

from tests.unit.roles.role_files import ROLES, ROOT, SCENARIOS, Task, document, folder, role_of, tasks

MANAGED = re.compile("Ansible managed|overwritten", re.IGNORECASE)
TEMPLATE = "ansible.builtin.template"

HOST = {
    "ansible_check_mode": False,
    "ansible_host": "192.0.2.10",
    "ansible_user": "root",
    "inventory_hostname": "pbx01",
    "groups": {"all": ["pbx01"]},
    "group_names": [],
    "playbook_dir": str(ROOT / "playbooks"),
    # What a script of the project would print; packing the application takes too long for a unit test.
    "application_build": "0123456789ab /tmp/0123456789ab.tar.gz",
    "application_packed": "0123456789ab /tmp/0123456789ab.tar.gz",
    # What a role has found out on the machine before it renders.
    "__nginx_ipv6": {"stat": {"exists": True}},
    "__dhcp_interfaces": {"stdout": '[{"ifname": "eth0", "addr_info": [{"local": "192.0.2.10", "prefixlen": 24}]}]'},
    "ansible_facts": {
        "architecture": "x86_64",
        "distribution": "Debian",
        "distribution_major_version": "13",
        "distribution_release": "trixie",
        "distribution_version": "13.1",
        "env": {},
        "memtotal_mb": 4096,
        "processor_vcpus": 4,
        "user_id": "root",
        "virtualization_tech_guest": ["container", "podman"],
        "virtualization_type": "podman",
    },
}

# The guests of inventories/example, each with a role of playbooks/converge.yml that is applied to one of its groups and
# all roles of that play, whose variables it sees.
EXAMPLE = sorted(
    {
        (guest, role["role"], tuple(other["role"] for other in play["roles"]))
        for play in document(ROOT / "playbooks/converge.yml")
        for group, members in document(ROOT / "inventories/example/hosts.yml")["guests"]["children"].items()
        for guest in members["hosts"]
        for role in play["roles"]
        if {group, "guests"} & set(play["hosts"].split(":"))
    }
)

CASES = [(role_of(scenario), scenario) for scenario in SCENARIOS if role_of(scenario) in ROLES]


@pytest.fixture(scope="session", autouse=True)
def ansible_plugins() -> None:
    """Let Ansible find the collections' filters."""
    init_plugin_loader([])


@pytest.fixture
def loader() -> DataLoader:
    """Return Ansible's own reader of YAML."""
    return DataLoader()


@pytest.mark.parametrize(("role", "scenario"), CASES)
def test_templates_render(
    role: str, scenario: str, loader: DataLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "ssh_key"
    key.with_suffix(".pub").write_text(f"ssh-ed25519 {'A' * 68} test\n")
    monkeypatch.setenv("MOLECULE_EPHEMERAL_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("MOLECULE_PROJECT_DIRECTORY", str(ROOT))
    variables = {
        **HOST,
        "ansible_ssh_private_key_file": str(key),
        "ansible_search_path": [str(folder(role))],
        "role_path": str(folder(role)),
        "role_name": role,
        **read(loader, folder(role) / "defaults" / "main.yml"),
        **read(loader, folder(role) / "vars" / "main.yml"),
        **read(loader, ROOT / "molecule" / scenario / "vars.yml"),
    }
    for name, text in rendered(role, loader, variables):
        assert MANAGED.search(text), f"{name} does not say that changes made by hand are lost"


@pytest.mark.parametrize(("guest", "role", "play"), EXAMPLE)
def test_templates_render_with_the_example_inventory(
    guest: str, role: str, play: tuple[str, ...], loader: DataLoader, tmp_path: Path
) -> None:
    """A dry run of production: each guest's templates from the inventory and the playbooks' variables."""
    texts = dict(in_example(guest, role, play, loader, tmp_path))
    assert texts or not (folder(role) / "templates").is_dir()
    assert not any("CHANGE-ME" in text for name, text in texts.items() if "centralino-asterisk" not in name)


@pytest.mark.parametrize("bundle", ["", "/vendors.pem"])
def test_phones_are_led_to_the_port_where_they_show_certificates(
    bundle: str, loader: DataLoader, tmp_path: Path
) -> None:
    """One variable of the panel's guest is heard of by what points phones there and what lets them in."""

    def texts(guest: str, role: str) -> str:
        (play,) = {play for known, name, play in EXAMPLE if (known, name) == (guest, role)}
        return "".join(
            text for _, text in in_example(guest, role, play, loader, tmp_path, panel_phones_vendor_ca=bundle)
        )

    url = f"web01.pbx.example.com{':8444' if bundle else ''}/phones"
    assert f"https://{url}/" in texts("pbx01", "dhcp")
    assert f'url = "https://{url}/"' in texts("web01", "panel")
    assert ('certificates = "accepted"' in texts("web01", "panel")) == bool(bundle)
    for guest in ("web01", "pbx01"):  # pbx01 has the VPN, whose clients come through it
        assert ("8444" in texts(guest, "firewall")) == bool(bundle), guest
    nginx = texts("web01", "nginx")
    assert ("listen 8444 ssl" in nginx) == ("ssl_verify_client optional_no_ca" in nginx) == bool(bundle)
    assert nginx.count("ssl_verify_client on") == 1


def test_an_ipv6_network_is_limited_as_one_address(loader: DataLoader, tmp_path: Path) -> None:
    """The expression by which nginx takes what a limit counts from an address, as Python reads it."""
    (play,) = {play for known, name, play in EXAMPLE if (known, name) == ("web01", "nginx")}
    text = "".join(text for _, text in in_example("web01", "nginx", play, loader, tmp_path))
    assert re.findall(r"limit_req_zone (\$\w+?)(?:_\d+)? ", text) == ["$asker"] * text.count("limit_req_zone")
    assert "$binary_remote_addr zone" not in text
    (expression,) = re.findall(r'"~(.+)" \$network;', text)

    def counted(address: str) -> bytes | None:
        found = re.search(expression.encode(), ip_address(address).packed)
        return found["network"] if found else None

    one, other = counted("2001:db8:a0a:a0a::1"), counted("2001:db8:a0a:a0a:a0a:a0a:a0a:a0a")
    assert one == other == ip_address("2001:db8:a0a:a0a::").packed[:8]
    assert counted("2001:db8:a0a:a0b::1") != one
    assert counted("192.0.2.7") is None, "an IPv4 address is taken as it is"


@pytest.mark.parametrize("authority", ["", "/programs.pem"])
def test_operators_programs_find_a_port_where_they_have_an_authority(
    authority: str, loader: DataLoader, tmp_path: Path
) -> None:
    """One variable opens the API in nginx and in the firewall, and nothing else does."""

    def texts(role: str) -> str:
        (play,) = {play for known, name, play in EXAMPLE if (known, name) == ("web01", role)}
        return "".join(
            text for _, text in in_example("web01", role, play, loader, tmp_path, panel_api_client_ca=authority)
        )

    assert ("listen 8445 ssl" in texts("nginx")) == bool(authority)
    assert ("tcp dport { 8445 }" in texts("firewall")) == bool(authority)


def in_example(
    guest: str, role: str, play: tuple[str, ...], loader: DataLoader, tmp_path: Path, **extra: str
) -> Iterator[tuple[str, str]]:
    """Yield a guest's templates with what they become; keyword arguments are variables of the command line."""
    loader.set_basedir(str(ROOT / "playbooks"))
    inventory = InventoryManager(loader=loader, sources=[str(ROOT / "inventories/example")])
    manager = VariableManager(loader=loader, inventory=inventory)
    # What is generated once does not go into the checkout; packing the application takes too long for a unit test.
    manager._extra_vars = {  # noqa: SLF001 (a command line sets it through its arguments alone)
        "cluster_secrets": str(tmp_path),
        "application_built": {"archive": "/nowhere/application.tar", "release": "0123456789ab"},
        **extra,
    }
    host = inventory.get_host(guest)
    facts = {name: value for name, value in HOST.items() if name.startswith("__") or name == "ansible_facts"}
    variables = {
        **together(loader, play, "defaults"),
        **manager.get_vars(host=host),
        **together(loader, play, "vars"),
        **facts,
        "ansible_check_mode": False,
        "ansible_search_path": [str(folder(role))],
        "hostvars": HostVars(inventory, manager, loader),
        "playbook_dir": str(ROOT / "playbooks"),
        "role_path": str(folder(role)),
    }
    yield from rendered(role, loader, variables)


@pytest.mark.parametrize("role", ROLES)
def test_no_template_is_left_over(role: str) -> None:
    """A template that no task names is dead."""
    words = "".join(file.read_text() for part in ("tasks", "vars") for file in (folder(role) / part).glob("*.yml"))
    for file in written_otherwise(role):
        assert Path(file).name.removesuffix(".j2") in words, f"no task of {role} writes {file}"


def rendered(role: str, loader: DataLoader, variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each of the role's templates with what it becomes, once for each turn of its task's loop."""
    turns = [(task[TEMPLATE]["src"], known) for task, known in template_tasks(role, loader, variables)]
    for source, known in [*turns, *((file, variables) for file in written_otherwise(role))]:
        name = Templar(loader=loader, variables=known).template(trust_as_template(source))
        lookup = trust_as_template("{{ lookup('ansible.builtin.template', file) }}")
        yield name, Templar(loader=loader, variables={**known, "file": name}).template(lookup)


def written_otherwise(role: str) -> list[str]:
    """Return the templates that no task with the template module names; a name with an expression fits what matches."""
    patterns = [pattern(task[TEMPLATE]["src"]) for task in tasks(role) if TEMPLATE in task]
    files = sorted((folder(role) / "templates").rglob("[!_]*.j2"))
    names = [str(file.relative_to(folder(role) / "templates")) for file in files]
    return [name for name in names if not any(fnmatch(name, wanted) for wanted in patterns)]


def pattern(source: str) -> str:
    """Return a template's name with a star for each expression in it."""
    parts = source.split("{{")
    return parts[0] + "".join("*" + part.partition("}}")[2] for part in parts[1:])


def together(loader: DataLoader, roles: tuple[str, ...], part: str) -> dict[str, Any]:
    """Return the defaults or the vars of several roles."""
    return {name: value for role in roles for name, value in read(loader, folder(role) / part / "main.yml").items()}


def read(loader: DataLoader, file: Path) -> dict[str, Any]:
    """Return a file of variables, its strings marked as templates; nothing where there is none."""
    return (loader.load_from_file(str(file), trusted_as_template=True) or {}) if file.exists() else {}


def template_tasks(role: str, loader: DataLoader, variables: dict[str, Any]) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Yield each task that renders a template, once for each turn of its loop, with the variables that it sees."""
    for task in tasks(role):
        if TEMPLATE not in task:
            continue
        known = {**variables, **trusted(task.get("vars", {}))}
        name = task.get("loop_control", {}).get("loop_var", "item")
        items = Templar(loader=loader, variables=known).template(trusted(task.get("loop", [None])))
        for item in items:
            yield task, {**known, name: item}


def trusted(value: Any) -> Any:
    """Mark the strings in a value as templates, as Ansible does with a task's own words."""
    if isinstance(value, dict):
        return {key: trusted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [trusted(inner) for inner in value]
    return trust_as_template(value) if isinstance(value, str) else value
