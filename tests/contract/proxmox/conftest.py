"""The provisioner's stand-in and inventory, as its unit tests have them."""

from tests.contract.proxmox.scenes import scene
from tests.unit.proxmox.conftest import at_stand_in, files, short_tasks, stand_in
from tests.unit.proxmox.test_operations import ops, quick

__all__ = ["at_stand_in", "files", "ops", "quick", "scene", "short_tasks", "stand_in"]
