from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.panel import environment
from tests.unit.panel.conftest import database, empty, password_hash, two_tenants

__all__ = ["database", "empty", "password_hash", "two_tenants"]


@pytest.fixture(scope="module")
def panel(database: None) -> Iterator[Path]:  # noqa: ARG001 - a fixture
    """Run the panel under gunicorn; return its socket."""
    with environment.server() as socket:
        yield socket
