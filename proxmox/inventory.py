"""Reads an inventory as Ansible does: its own loader, its own precedence, its own templating.

What comes out is what the playbooks see, with the file and line that sets each variable for the sentences about it.
"""

# mypy: disable-error-code="import-untyped"

import os
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from proxmox import vocabulary
from proxmox.errors import ProvisionerError
from proxmox.evaluation import Evaluator
from proxmox.variables import PREFIX

PLACEHOLDER = "CHANGE-ME"
"""What a value that a user must set says in the example inventory."""
GROUP = "guests"
"""The group whose members are virtual machines of the cluster."""
CONNECTION = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_common_args",
    "cluster_name",
    "cluster_secrets",
)
"""What the provisioner reads besides its own variables."""

_loading: ContextVar[bool] = ContextVar("loading", default=False)
_CHECKOUT = Path(__file__).resolve().parent.parent
_CONFIGURATION = _CHECKOUT / "ansible.cfg"
_PLAYBOOKS = _CHECKOUT / "playbooks"
"""Variables beside the playbooks are the hosts' too (``playbooks/group_vars``)."""


@dataclass(frozen=True)
class Host:
    """A member of the group ``guests`` with the variables that the provisioner reads, templated."""

    name: str
    groups: frozenset[str]
    folder: Path
    """The inventory's folder (``inventory_dir``)."""
    variables: Mapping[str, object]
    where: Mapping[str, str]
    """Variable → ``file:line`` that sets it, relative to the working folder where it lies below."""
    problems: tuple[str, ...] = field(default=())
    """Variables that cannot be evaluated, a sentence each."""

    def place(self, variable: str) -> str:
        """Return where the variable is set, or the file that it belongs into."""
        return self.where.get(variable) or f"{shown(self.folder)}/host_vars/{self.name}.yml"


def shown(path: str | Path) -> str:
    """Return a path as a person would type it from here."""
    return _shown(str(path), Path.cwd())


@cache
def _shown(path: str, here: Path) -> str:
    try:
        return str(Path(path).resolve().relative_to(here))
    except ValueError:
        return path


def load(source: str) -> tuple[Host, ...]:
    """Read the inventory at ``source`` (a folder or a file) and return its guests, sorted by name.

    Raises :class:`ProvisionerError` where there is no inventory, it cannot be parsed, or it has no guests.
    """
    if not Path(source).exists():
        raise ProvisionerError(f"{source}: there is no such inventory; name its folder, as in -i inventories/lab")
    if _CONFIGURATION.is_file():
        os.environ.setdefault("ANSIBLE_CONFIG", str(_CONFIGURATION))
    # Ansible only warns about an inventory that it cannot parse; here it must be an error.
    os.environ.setdefault("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "true")
    # Imported late: it takes half a second, which `--help` need not wait for.
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415

    _find_plugins()
    loader = DataLoader()
    if _PLAYBOOKS.is_dir():
        loader.set_basedir(str(_PLAYBOOKS))
    try:
        _unlock_vault(loader)
        token = _loading.set(True)
        try:
            inventory = InventoryManager(loader=loader, sources=[str(Path(source).resolve())])
        finally:
            _loading.reset(token)
        manager = VariableManager(loader=loader, inventory=inventory)
        hosts = inventory.get_hosts(GROUP) if GROUP in inventory.groups else []
        checked: set[tuple[str, str]] = set()
        evaluator = Evaluator()
        guests = tuple(
            _read(host, manager, loader, evaluator, checked) for host in sorted(hosts, key=lambda host: host.name)
        )
    except AnsibleError as error:
        raise ProvisionerError(f"{shown(source)} cannot be read: {_one_line(error)}") from error
    if not guests:
        raise ProvisionerError(
            f"{shown(source)}: the group `{GROUP}` has no hosts; list the virtual machines below it in hosts.yml"
        )
    return guests


def is_loading() -> bool:
    """Tell whether an inventory's plugins are at work for the provisioner, and not for a playbook."""
    return _loading.get()


@cache
def _find_plugins() -> None:
    """Make Ansible's plugins known by their full names (``ansible.builtin.file``); may be done once in a process."""
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415
    from ansible.utils.collection_loader import AnsibleCollectionConfig  # noqa: PLC0415

    if AnsibleCollectionConfig.collection_finder is None:  # Ansible itself has done it where a plugin of ours asks
        init_plugin_loader()


def _unlock_vault(loader: Any) -> None:  # noqa: ANN401 (Ansible is not typed)
    from ansible import constants  # noqa: PLC0415

    password_file, identities = constants.DEFAULT_VAULT_PASSWORD_FILE, constants.DEFAULT_VAULT_IDENTITY_LIST
    if password_file or identities:
        from ansible.cli import CLI  # noqa: PLC0415

        files = [password_file] if password_file else []
        loader.set_vault_secrets(
            CLI.setup_vault_secrets(loader, vault_ids=identities or [], vault_password_files=files, auto_prompt=False)
        )


def _read(
    host: Any,  # noqa: ANN401 (Ansible is not typed)
    manager: Any,  # noqa: ANN401
    loader: Any,  # noqa: ANN401
    evaluator: Evaluator,
    checked: set[tuple[str, str]],
) -> Host:
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.template import Templar  # noqa: PLC0415

    raw = manager.get_vars(host=host, include_hostvars=False)
    templar = Templar(loader=loader, variables=raw)
    where: dict[str, str] = {}
    variables: dict[str, object] = {}
    problems: list[str] = []
    for name, value in raw.items():
        # Whatever part of the product it belongs to: this is the first to look at a new inventory.
        if not name.startswith("ansible_") and PLACEHOLDER in str(value):
            place = _origin(name, value) or host.name
            problems.append(f"{place}: {name} still says {PLACEHOLDER}: set it to the value of your cluster")
    for name in sorted(name for name in raw if name.startswith(PREFIX) or name in CONNECTION):
        if place := _origin(name, raw[name]):
            where[str(name)] = place
        try:
            variables[str(name)] = evaluator.value(name, raw, templar)
        except AnsibleError as error:
            problems.append(f"{where.get(name, host.name)}: {name} cannot be evaluated: {_evaluation(error)}")
    problems += _vocabulary(raw, templar, checked)
    return Host(
        name=str(host.name),
        groups=frozenset(str(name) for name in raw["group_names"]),
        folder=Path(str(raw["inventory_dir"])),
        variables=variables,
        where=where,
        problems=tuple(problems),
    )


def _vocabulary(
    raw: Mapping[str, Any],
    templar: Any,  # noqa: ANN401 (Ansible is not typed)
    checked: set[tuple[str, str]],
) -> Iterator[str]:
    """Yield a sentence for each variable of the cluster or a role that cannot be right.

    What the cluster's variables say, they say for all guests: ``checked`` holds those that were looked at, as they are
    written, and each is evaluated once.
    """
    from ansible.errors import AnsibleError  # noqa: PLC0415

    group_vars = f"{shown(str(raw['inventory_dir']))}/group_vars/all"
    for name, value in raw.items():
        if what := vocabulary.unknown(str(name)):
            yield f"{_origin(name, value) or group_vars}: {name} {what}"
    try:
        for name, spec in vocabulary.cluster().items():
            if name not in raw:
                yield f"{group_vars}: {name} is not set: {spec['description']}"
                continue
            written = (name, str(raw[name]))
            if written in checked:
                continue
            checked.add(written)
            if what := vocabulary.wrong(name, templar.template(raw[name])):
                # the key as it was loaded, which knows where it stands
                key = next(key for key in raw if key == name)
                yield f"{_origin(key, raw[name]) or group_vars}: {name} {what}"
    except AnsibleError as error:
        yield f"{group_vars}: the cluster's variables cannot be evaluated: {_evaluation(error)}"


def _origin(name: str, value: object) -> str | None:
    """Return ``file:line`` of a variable. Ansible tags keys and most values that it loads with their origin."""
    try:
        from ansible._internal._datatag._tags import Origin  # noqa: PLC0415
    except ImportError:  # not a public interface: without it, sentences name the variable alone
        return None
    # Where a host overrides its group, the key is still the group's; a block's value begins a line below its key.
    key, own = Origin.get_tag(name), Origin.get_tag(value)
    origin = key if key and (own is None or own.path == key.path) else own
    if origin is None or not origin.path:
        return None
    return f"{shown(origin.path)}:{origin.line_num}" if origin.line_num else shown(origin.path)


def _evaluation(error: Exception) -> str:
    """Return why a variable cannot be evaluated; the usual reason is a file that a lookup does not find."""
    text = _one_line(error)
    missing = re.search(r"Unable to access the file '([^']+)': File not found", text)
    if missing:
        return (
            f"{shown(os.path.normpath(missing[1]))} does not exist: make this file (the lab's own are made when the "
            "lab is started)"
        )
    return f"{text}: correct it"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
