"""Dependencies point one way: what docs/architecture.md says in its table of folders, asked of the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PARTS = {
    "src/centralino/contract": set[str](),
    "src/centralino/asterisk": {"centralino.contract"},
    "src/centralino/agent": {"centralino.contract", "centralino.asterisk"},
    "src/centralino/cti": {"centralino.contract"},
    "src/centralino/panel": {"centralino.contract", "centralino.phones"},
    "src/centralino/phones": {"centralino.contract"},
    "src/centralino/vpn": {"centralino.contract"},
    "proxmox": set[str](),
    "lab": set[str](),
}
OURS = ("centralino", "proxmox", "lab", "tests")


def imports(file: Path) -> Iterator[str]:
    """Return the dotted names of all modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute, so that they can be read and checked"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(("folder", "allowed"), PARTS.items())
def test_a_part_imports_only_what_it_may(folder: str, allowed: set[str]) -> None:
    own = folder.removeprefix("src/").replace("/", ".")
    files = list((CHECKOUT / folder).rglob("*.py"))
    assert files, f"{folder} is empty"
    for file in files:
        for name in imports(file):
            if name.split(".")[0] in OURS:
                known = any(within(name, package) for package in {own, *allowed})
                assert known, f"{file.relative_to(CHECKOUT)} imports {name}"
