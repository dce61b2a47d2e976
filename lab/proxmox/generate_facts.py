"""Make the fact file of the API from the API viewer's data: ``python -m lab.proxmox.generate_facts SOURCE TARGET``.

SOURCE is the schema of a Proxmox VE release as JSON, ``{path: {METHOD: {parameters, returns, …}}}``. What the stand-in
asks is kept; the rest, prose above all, is left out. The same source gives the same file, byte for byte.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

_METHOD = ("allowtoken", "parameters", "permissions", "protected", "proxyto", "returns")
_PROSE = ("description", "format_description", "renderer", "title", "typetext", "verbose_description")


def without_prose(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return a schema without its descriptions; a property that is *called* description is a fact and stays."""
    if isinstance(value, list):
        return [without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_prose(item) for key, item in value.items() if key not in _PROSE or isinstance(item, dict)}


def main(source: Path, target: Path) -> None:
    """Write the fact file."""
    api = json.loads(source.read_text())
    facts = {
        path: {
            verb: {key: without_prose(method[key]) for key in _METHOD if key in method}
            for verb, method in verbs.items()
        }
        for path, verbs in api.items()
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    target.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
