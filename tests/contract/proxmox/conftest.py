"""The provisioner's stand-in and inventory, as its unit tests have them."""

from tests.unit.proxmox.conftest import at_stand_in, files, stand_in
from tests.unit.proxmox.test_operations import ops, quick

__all__ = ["at_stand_in", "files", "ops", "quick", "stand_in"]
