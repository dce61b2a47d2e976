"""The variables that an inventory sets besides the guests' own: the cluster's and the roles'.

The provisioner is the first to look at a new inventory, so it also finds what would go unseen until a role needs it.
What there is, is read from where it is documented: ``inventories/variables.yml`` and the roles' argument specs.
"""

# mypy: disable-error-code="import-untyped"

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def unknown(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that begins as a role's or the cluster's do and is none of them, with what is wrong."""
    for name in names:
        # pbx_agent before a role pbx
        owners = sorted((owner for owner in known() if name.startswith(f"{owner}_")), key=len)
        if not owners or name in known()[owners[-1]] or name.startswith(_OWN_NAMES):
            continue
        owner = owners[-1]
        close = difflib.get_close_matches(name, known()[owner], n=1)
        whose = "the cluster" if owner == _CLUSTER else f"the role {owner}"
        lists = "inventories/variables.yml" if owner == _CLUSTER else f"roles/{owner}/README.md"
        yield name, f"is not a variable of {whose}; {f'did you mean {close[0]}?' if close else f'{lists} lists them'}"


def wrong(names: Iterable[str], evaluate: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    """Yield each of the cluster's variables that is missing or of another type, with what is wrong.

    ``evaluate`` returns a variable's value, templated; what it raises passes through.
    """
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # noqa: PLC0415 (takes its time)

    present = set(names)
    for name, spec in cluster().items():
        if name not in present:
            yield name, f"is not set: {spec['description']}"
            continue
        facts = {key: value for key, value in spec.items() if key != "description"}
        if ArgumentSpecValidator({name: facts}).validate({name: evaluate(name)}).error_messages:
            yield name, f"is {evaluate(name)!r} and must be {_KINDS[spec['type']]}: {spec['description']}"


_KINDS = {"str": "text", "path": "a path", "bool": "true or false", "list": "a list"}


def _document(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader) or {}
    return document
