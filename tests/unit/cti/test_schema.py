"""The JSON Schema in docs/ is the contract's."""

import json
from pathlib import Path

from centralino.contract.live import schema

FILE = Path(__file__).parents[3] / "docs" / "live-protocol.schema.json"


def test_the_schema_in_the_documentation_is_of_today() -> None:
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(schema())), "run scripts/live-schema"
