"""Gives guests whose addresses a DHCP server chose the address that their agents tell the Proxmox cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = """
name: guest_addresses
short_description: Addresses of guests that have them by DHCP
description:
  - Asks the Proxmox cluster of the inventory beside this file for the address of each guest with C(proxmox_dhcp).
  - Sets C(ansible_host) to it.
  - What the cluster is and how it is reached, it reads from that inventory's variables.
options:
  plugin:
    description: C(guest_addresses).
    required: true
  hosts:
    description: The file beside this one that lists the guests.
    default: hosts.yml
"""


class InventoryModule(BaseInventoryPlugin):
    """The plugin, as Ansible looks for it."""

    NAME = "guest_addresses"

    def verify_file(self, path: str) -> bool:
        """Take files of this name alone."""
        return bool(super().verify_file(path)) and path.endswith("addresses.proxmox.yml")

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:  # noqa: ANN401 (as Ansible calls it)
        """Set ``ansible_host`` of the guests that have an address now; say which have none."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        checkout = str(Path(__file__).resolve().parents[2])
        if checkout not in sys.path:
            sys.path.insert(0, checkout)
        from proxmox import addresses  # noqa: PLC0415 (known from here on)
        from proxmox.errors import ProvisionerError  # noqa: PLC0415

        try:
            found = addresses.of_guests(str(Path(path).with_name(self.get_option("hosts"))))
        except ProvisionerError as error:
            raise AnsibleParserError("\n".join(error.sentences)) from error
        for name, answer in found.items():
            inventory.add_host(name)
            if answer.address:
                inventory.set_variable(name, "ansible_host", answer.address)
                # Another guest may have this address tomorrow: the host key is known by the guest's name.
                inventory.set_variable(name, "ansible_ssh_extra_args", f"-o HostKeyAlias={name}")
            else:
                self.display.warning(f"{name}: {answer.why}: no address for it")
