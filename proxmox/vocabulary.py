"""The variables that an inventory sets besides the guests' own: the cluster's and the roles'.

The provisioner is the first to look at a new inventory, so it also finds what would go unseen until a role needs it.
What there is, is read from where it is documented: ``inventories/variables.yml`` and the roles' argument specs.
"""

# mypy: disable-error-code="import-untyped"

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_CHECKOUT = Path(__file__).resolve().parent.parent
_CLUSTER = "cluster"
_OWN_NAMES = ("application_extra_",)
"""What such a name begins with, an inventory chooses the rest of."""


@cache
def known() -> Mapping[str, frozenset[str]]:
    """Return the variables by what their names begin with: a role, or ``cluster``."""
    made = frozenset(name for file in (_CHECKOUT / "playbooks/group_vars").glob("*.yml") for name in _document(file))
    roles = {
        file.parent.parent.name: made | _document(file)["argument_specs"]["main"]["options"].keys()
        for file in (_CHECKOUT / "roles").glob("*/meta/argument_specs.yml")
    }
    return roles | {_CLUSTER: made | cluster().keys()}


@cache
def cluster() -> Mapping[str, Mapping[str, Any]]:
    """Return the cluster's variables, each with ``type``, ``required`` and ``description``."""
    return _document(_CHECKOUT / "inventories/variables.yml")


@cache
def unknown(name: str) -> str | None:
    """Return what is wrong with a name that begins as a role's or the cluster's do and is none of them; else None."""
    # pbx_agent before a role pbx
    owners = sorted((owner for owner in known() if name.startswith(f"{owner}_")), key=len)
    if not owners or name in known()[owners[-1]] or name.startswith(_OWN_NAMES):
        return None
    owner = owners[-1]
    close = difflib.get_close_matches(name, known()[owner], n=1)
    whose = "the cluster" if owner == _CLUSTER else f"the role {owner}"
    lists = "inventories/variables.yml" if owner == _CLUSTER else f"roles/{owner}/README.md"
    return f"is not a variable of {whose}; {f'did you mean {close[0]}?' if close else f'{lists} lists them'}"


def wrong(name: str, value: object) -> str | None:
    """Return what is wrong with the templated value of one of the cluster's variables; None where its type is right."""
    if not _validator(name).validate({name: value}).error_messages:
        return None
    spec = cluster()[name]
    return f"is {value!r} and must be {_KINDS[spec['type']]}: {spec['description']}"


@cache
def _validator(name: str) -> Any:  # noqa: ANN401 (Ansible is not typed)
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # noqa: PLC0415 (takes its time)

    return ArgumentSpecValidator({name: {key: fact for key, fact in cluster()[name].items() if key != "description"}})


_KINDS = {"str": "text", "path": "a path", "bool": "true or false", "list": "a list"}


def _document(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader) or {}
    return document
