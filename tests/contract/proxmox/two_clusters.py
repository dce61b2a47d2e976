"""Two Proxmox clusters with different nodes, and an inventory for each: a tenant cluster goes from one to the other."""

import argparse
import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from lab.proxmox import auth, tls
from lab.proxmox.layout import Node
from lab.proxmox.state import Grant
from tests.inventory import Inventory, point_at
from tests.stand_in import StandIn, standing
from tests.unit.proxmox.test_operations import with_twin


def standing_order(files: Inventory) -> None:
    """Give the inventory a PBX that stands by."""
    with_twin(files)
    files.hosts["pbx02"]["proxmox_standby"] = True


def nodes_at(name: str, *hosts: int) -> dict[str, Node]:
    """Return nodes with addresses of their own on loopback: ``remote_migrate`` goes to a node's own address."""
    return {
        f"{name}{number}": Node(f"{name}{number}", number, f"127.0.0.{host}") for number, host in enumerate(hosts, 1)
    }


@pytest.fixture
def stand_in(tmp_path: Path, short_tasks: None) -> Iterator[StandIn]:
    """Start the first cluster; its nodes have addresses, for guests that come back."""
    del short_tasks
    with standing(tmp_path / "state", nodes_at("pve", 1, 4, 5)) as one:
        yield one


@dataclass
class Two:
    """The clusters, and what a test does to them."""

    old: StandIn
    new: StandIn
    old_files: Inventory
    new_files: Inventory
    nodes: Mapping[str, Node]

    @classmethod
    @contextmanager
    def beside(cls, old: StandIn, files: Inventory, folder: Path) -> Iterator[Self]:
        """Start a second cluster; its inventory is the first one's with other nodes and numbers."""
        nodes = nodes_at("far", 1, 2, 3)
        with standing(folder / "far", nodes) as new:
            theirs = Inventory(folder / "new", copy.deepcopy(files.settings), copy.deepcopy(files.hosts))
            theirs.groups = copy.deepcopy(files.groups)
            theirs.settings["proxmox_template_node"] = "far1"
            for host in theirs.hosts.values():
                host["proxmox_node"] = host["proxmox_node"].replace("pve", "far")
                host["proxmox_vmid"] += 100
            point_at(theirs, new)
            for stand_in in (old, new):
                stand_in.store.cluster.grants += [Grant("/", who, auth.ARRIVALS) for who in (auth.USER, auth.TOKEN)]
            yield cls(old, new, files, theirs, nodes)

    @property
    def secret(self) -> str:
        """The new cluster's token."""
        return str(json.loads((self.new.folder / "token.json").read_text())["secret"])

    @property
    def fingerprint(self) -> str:
        """That of the new cluster's certificate."""
        return tls.fingerprint(self.new.folder)

    def write(self) -> None:
        """Write both inventories."""
        self.old_files.write()
        self.new_files.write()

    def written(self) -> list[str]:
        """Return what was written to either cluster since the last call; a tunnel is its node's own."""
        return [request for one in (self.old, self.new) for request in one.written() if "tunnel" not in request]

    def options(self, command: str) -> argparse.Namespace:
        """Return the options of a command at the old cluster."""
        self.write()
        return argparse.Namespace(command=command, inventory="cluster", check=False, limit=None)
