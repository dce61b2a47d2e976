"""An inventory of three guests that a test may break, and may point at a stand-in."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proxmox import inventory, reader
from proxmox.desired import Cluster
from tests.stand_in import StandIn

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"
GUESTS = {
    "pbx01": ("198.18.0.11", "pve1", 101),
    "cti01": ("198.18.0.21", "pve2", 121),
    "web01": ("198.18.0.31", "pve3", 131),
}
SETTINGS = {
    "proxmox_api_host": "127.0.0.1",
    "proxmox_api_port": 8006,
    "proxmox_api_ca": "{{ cluster_secrets }}/ca.pem",
    "proxmox_api_token_id": "automation@pve!centralino",
    "proxmox_api_token_secret": "{{ lookup('ansible.builtin.file', cluster_secrets ~ '/token') }}",
    "proxmox_storage": "shared",
    "proxmox_image_storage": "shared",
    "proxmox_bridge": "vmbr0",
    "proxmox_gateway": "198.18.0.1",
    "proxmox_nameservers": ["198.18.0.1"],
    "proxmox_search_domain": "{{ cluster_domain }}",
    "proxmox_template_vmid": 9000,
    "proxmox_template_node": "pve1",
    "proxmox_template_image_url": "https://cloud.example.com/debian-13.qcow2",
    "proxmox_ssh_user": "ops",
    "proxmox_ssh_private_key": "{{ cluster_secrets }}/ssh/id_ed25519",
    "proxmox_ssh_known_hosts": "{{ cluster_secrets }}/ssh/known_hosts",
}


@dataclass
class Inventory:
    """A valid inventory of three guests, in files that a test may change."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    hosts: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            name: {"ansible_host": address, "proxmox_node": node, "proxmox_vmid": vmid}
            for name, (address, node, vmid) in GUESTS.items()
        }
    )
    whole: dict[str, Any] = field(
        default_factory=lambda: {
            "cluster_name": "test",
            "cluster_domain": "test.example",
            "cluster_timezone": "Europe/Rome",
            "cluster_secrets": "{{ inventory_dir }}/.secrets",
            "cluster_networks": ["198.18.0.0/24"],
            "cluster_management_networks": ["198.18.0.1/32"],
            "cluster_administrators": [],
            "cluster_apt_proxy": "",
            "cluster_apt_check_valid_until": True,
            "cluster_asterisk_repository": "http://198.18.0.2/asterisk/",
            "cluster_asterisk_repository_key": "/nowhere/centralino.asc",
            "cluster_ntp_servers": ["time.test.example"],
            "cluster_never_banned": [],
            "cluster_voice_networks": ["198.18.0.0/24"],
            "cluster_voice_ntp_servers": ["198.18.0.1"],
        }
    )
    """What is said of the cluster as a whole."""
    groups: dict[str, list[str]] = field(
        default_factory=lambda: {"pbx": ["pbx01"], "cti": ["cti01"], "web": ["web01"], "database": ["web01"]}
    )

    @property
    def secrets(self) -> Path:
        return self.folder / ".secrets"

    def write(self) -> str:
        """Write the files and return the inventory's path."""
        for folder in (self.folder / "group_vars/all", self.folder / "host_vars", self.secrets / "ssh"):
            folder.mkdir(parents=True, exist_ok=True)
        children = {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in self.groups.items()}
        self._dump("hosts.yml", {"guests": {"children": children}})
        self._dump("group_vars/all/cluster.yml", self.whole)
        self._dump("group_vars/all/proxmox.yml", self.settings)
        for name, variables in self.hosts.items():
            self._dump(f"host_vars/{name}.yml", variables)
        for name, text in {
            "token": "0123456789",
            "ca.pem": "-",
            "ssh/id_ed25519": "-",
            "ssh/id_ed25519.pub": PUBLIC_KEY,
        }.items():
            if not (self.secrets / name).exists():
                (self.secrets / name).write_text(text)
        return str(self.folder)

    def cluster(self) -> Cluster:
        """Write the files and return the cluster that they want."""
        return reader.read(inventory.load(self.write()))

    def _dump(self, name: str, data: Any) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False))


def point_at(files: Inventory, stand_in: StandIn) -> None:
    """Make a stand-in the inventory's Proxmox cluster."""
    token = json.loads((stand_in.folder / "token.json").read_text())
    files.settings |= {"proxmox_api_port": stand_in.port, "proxmox_api_token_id": token["id"]}
    files.secrets.mkdir(parents=True)
    (files.secrets / "token").write_text(token["secret"])
    (files.secrets / "ca.pem").write_text((stand_in.folder / "ca.pem").read_text())
