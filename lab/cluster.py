"""The running cluster as its inventory describes it: addresses, log-ins, and commands on its guests over SSH."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.phones.phone import Account
from lab.process import last_words, run


@dataclass(frozen=True)
class Cluster:
    """One inventory's cluster, which is expected to be up."""

    inventory: Path

    @cached_property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """All guests' variables by inventory name, as ``ansible-inventory`` resolves them."""
        variables: dict[str, dict[str, Any]] = self._listed["_meta"]["hostvars"]
        return variables

    def members(self, group: str) -> list[str]:
        """Return the guests of a function group."""
        return list(self._listed.get(group, {}).get("hosts", []))

    def groups(self, guest: str) -> set[str]:
        """Return a guest's function groups."""
        return {group for group in self._listed if guest in self.members(group)}

    @cached_property
    def _listed(self) -> dict[str, Any]:
        tool = Path(sys.executable).with_name("ansible-inventory")
        listed: dict[str, Any] = json.loads(run([str(tool), "-i", str(self.inventory), "--list"]))
        return listed

    def address(self, guest: str) -> str:
        """Return a guest's address."""
        return str(self.hosts[guest]["ansible_host"])

    @cached_property
    def access(self) -> dict[str, Any]:
        """What `playbooks/tenant.yml` leaves for people: the panel's address, the CA's file, the log-ins."""
        file = self.inventory / ".secrets" / "access.json"
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except FileNotFoundError:
            raise LabError(f"{file} is missing: run playbooks/tenant.yml, or `make up`") from None
        return found

    def ssh(self, guest: str, command: str, *, stdin: str | None = None, seconds: float = 60) -> str:
        """Run a shell command as root on a guest and return its output."""
        secrets = self.inventory.resolve() / ".secrets" / "ssh"
        known_hosts = f"UserKnownHostsFile={secrets / 'known_hosts'}"
        options = ["-o", known_hosts, "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
        target = f"{self.hosts[guest]['proxmox_ssh_user']}@{self.address(guest)}"
        try:
            done = subprocess.run(  # noqa: S603
                ["ssh", "-i", str(secrets / "id_ed25519"), *options, target, f"sudo sh -c {shlex.quote(command)}"],  # noqa: S607
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{guest}: `{command}` did not end within {seconds:.0f} s: look at the guest") from None
        if done.returncode != 0:
            raise LabError(f"{guest}: `{command}` failed: {last_words(done.stderr or done.stdout)}")
        return done.stdout

    def accounts(self, tenant: int) -> dict[str, Account]:
        """Return a tenant's extensions that have a phone without TLS, each with that phone's account."""
        told = json.loads(self.ssh("web01", f"centralino device credentials {tenant}"))
        return {
            number: Account(device["endpoint"], device["secret"])
            for number, devices in told.items()
            for device in devices
            if device["transport"] == "udp"
        }
