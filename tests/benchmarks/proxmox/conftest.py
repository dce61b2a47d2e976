"""The provisioner's stand-in and inventory, as its unit tests have them."""

import pytest

from tests.unit.proxmox.conftest import at_stand_in, files, stand_in

__all__ = ["at_stand_in", "files", "short_tasks", "stand_in"]


@pytest.fixture
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stand-in's tasks take moments; the provisioner, which is measured, asks when it does."""
    monkeypatch.setattr("lab.proxmox.tasks.SHORTEST", 0.03)
