"""What a run of the provisioner has loaded once it has read an inventory.

For the process that runs are forked from: Ansible imports most of itself, and finds its plugins, at the first one.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from proxmox import failover, inventory, probes, reach, relocate, session

__all__ = ["failover", "probes", "reach", "relocate", "session"]
"""Imported so that they are there before the fork."""

with TemporaryDirectory() as folder:
    Path(folder, "hosts.yml").write_text(json.dumps({inventory.GROUP: {"hosts": {"one": {}}}}), encoding="utf-8")
    inventory.load(folder)
