"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

from lab.paths import CHECKOUT

DOCUMENTS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
FOLDERS = "docs|inventories|lab|molecule|packages|playbooks|proxmox|roles|scripts|src|tests"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_path_and_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    gone = [path for path in PATH.findall(text) if not (CHECKOUT / path).exists()]
    gone += [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    assert gone == []
