"""What the proxy's process does without: each of these libraries would take megabytes of it (docs/live-protocol.md)."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["cryptography", "jwt", "httpx", "typer", "urllib.request"])
def test_a_large_library_is_not_loaded(library: str) -> None:
    subprocess.run(
        [sys.executable, "-c", f"import sys, centralino.cti.main; assert {library!r} not in sys.modules"], check=True
    )
