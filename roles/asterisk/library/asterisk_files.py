"""Ansible module: write many small files in one connection, and say which of them changed."""

# ruff: noqa: E402, INP001 - Ansible reads the documentation before anything is imported

DOCUMENTATION = r"""
module: asterisk_files
short_description: Write many small files in one connection
description:
  - Writes files whose content was rendered on the controller, each atomically, and reports which of them changed.
  - Asterisk is configured by two dozen small files; one task for each would be most of the time of a run that changes
    nothing.
options:
  files:
    description: Absolute path to content.
    type: dict
    required: true
  owner:
    description: Owner of the files.
    type: str
    default: root
  group:
    description: Group of the files.
    type: str
    default: root
  mode:
    description: Permissions of the files, octal.
    type: str
    required: true
  only_in:
    description: Folder in which no other file of the pattern may be; what is there is removed.
    type: path
  only_pattern:
    description: Shell pattern for O(only_in).
    type: str
    default: "*"
  keep:
    description: Names in O(only_in) that are written elsewhere.
    type: list
    elements: str
    default: []
author: Centralino
"""

RETURN = r"""
written:
  description: Names, without folders, of the files whose content or permissions changed.
  type: list
removed:
  description: Paths of the files that were removed.
  type: list
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class Writer:
    """Brings files to the wanted state and collects what it did."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.written: list[str] = []
        self.removed: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def write(self, path: Path, content: str) -> None:
        """Write one file if its content or its permissions differ."""
        before = (
            path.read_text(encoding="utf-8", errors="replace") if path.is_file() and not path.is_symlink() else None
        )
        changed = before != content
        if changed:
            self.diffs.append(
                {"before_header": str(path), "after_header": str(path), "before": before or "", "after": content}
            )
            if not self.module.check_mode:
                self._replace(path, content)
        if path.is_file():
            wanted = {**self.module.params, "path": str(path)}
            arguments = self.module.load_file_common_arguments({**_NO_ATTRIBUTES, **wanted}, path=str(path))
            changed = self.module.set_fs_attributes_if_different(arguments, changed)
        if changed:
            self.written.append(path.name)

    def remove_others(self, folder: Path, pattern: str, keep: set[str]) -> None:
        """Remove what the pattern finds in a folder and nobody here wrote."""
        for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
            if path.name in keep or (path.is_dir() and not path.is_symlink()):
                continue
            self.removed.append(str(path))
            self.diffs.append({"before_header": str(path), "after_header": "removed", "before": "\n", "after": ""})
            if not self.module.check_mode:
                path.unlink()

    def _replace(self, path: Path, content: str) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(content)
        self.module.atomic_move(temporary, str(path))


_NO_ATTRIBUTES: dict[str, Any] = {
    "seuser": None,
    "serole": None,
    "selevel": None,
    "setype": None,
    "attributes": None,
    "unsafe_writes": False,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "required": True},
            "only_in": {"type": "path"},
            "only_pattern": {"type": "str", "default": "*"},
            "keep": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    writer = Writer(module)
    files = {Path(path): str(content) for path, content in given["files"].items()}
    try:
        for path, content in files.items():
            writer.write(path, content)
        if given["only_in"]:
            writer.remove_others(
                Path(given["only_in"]), given["only_pattern"], {path.name for path in files} | set(given["keep"])
            )
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    module.exit_json(
        changed=bool(writer.written or writer.removed),
        written=writer.written,
        removed=writer.removed,
        diff=writer.diffs,
    )


if __name__ == "__main__":
    main()
