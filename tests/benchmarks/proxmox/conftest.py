"""The provisioner's stand-in and inventory, as its unit tests have them."""

from tests.unit.proxmox.conftest import at_stand_in, files, moments, stand_in

__all__ = ["at_stand_in", "files", "moments", "stand_in"]
