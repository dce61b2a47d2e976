"""An inventory to break, and a Proxmox cluster to make guests on: the lab's stand-in, without containers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxmox.api import Api
from tests.inventory import Inventory, point_at
from tests.stand_in import StandIn, standing

_PAUSE = Api.pause


def hastened(api: Api, seconds: float) -> None:
    """Wait no longer than a stand-in's task takes."""
    _PAUSE(api, min(seconds, 0.03))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Give an inventory in ``cluster/`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    return Inventory(tmp_path / "cluster")


@pytest.fixture
def short_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stand-in's tasks take moments, and the provisioner ask as soon."""
    monkeypatch.setattr("lab.proxmox.tasks.SHORTEST", 0.02)
    monkeypatch.setattr("lab.proxmox.api.clone.COPY_SECONDS", 0.03)
    monkeypatch.setattr("lab.proxmox.api.storage.DOWNLOAD_SECONDS", 0.03)
    monkeypatch.setattr(Api, "pause", hastened)


@pytest.fixture
def stand_in(tmp_path: Path, short_tasks: None) -> Iterator[StandIn]:
    """Start the lab's stand-in on a port of its own."""
    del short_tasks
    with standing(tmp_path / "state") as one:
        yield one


@pytest.fixture
def at_stand_in(files: Inventory, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """Give the inventory, with the stand-in as its Proxmox cluster, and nobody at the guests' addresses."""
    monkeypatch.setattr("proxmox.reach.strangers", lambda _: [])
    point_at(files, stand_in)
    return files
