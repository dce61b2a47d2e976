"""Systemd containers that behave as small virtual machines: made, waited for, removed; and plain ones beside them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

from lab import images, seed
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import GATEWAY, NETWORK, SUBNET, Podman
from lab.process import wait_until
from lab.seed import Seed

CAPABILITIES = ("AUDIT_WRITE", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE")
"""What systemd's sandboxing, nftables, OpenVPN and ntpsec need in their own namespaces."""

TUNNELS = "/dev/net/tun"
"""The device that OpenVPN's tunnels are made of; a virtual machine has it too."""

BOOT_SECONDS = 120
"""How long a boot may take; two seconds are usual, but many machines may boot at once."""


@dataclass(frozen=True)
class Machine:
    """A container to be made."""

    name: str
    address: str
    """IPv4 address; empty for any that is free, as DHCP would give one."""
    image: str
    seed: Seed
    mac: str = ""
    cores: int = 0
    memory: int = 0
    """MiB; both limits apply where the machine has the controller, 0 is no limit."""
    labels: dict[str, str] = field(default_factory=dict)
    connected: bool = True
    """Whether its network card's cable is in."""


def create(podman: Podman, paths: Paths, machine: Machine) -> None:
    """Make the container, stopped. Raises :class:`LabError` where the name or the address is taken."""
    if machine.address:
        _check_address(machine.address)
    podman.ensure_network()
    folder = paths.seeds / machine.name
    seed.write(folder, machine.seed)
    labels = {"centralino.address": machine.address, **machine.labels}
    podman(
        "create",
        "--name", machine.name,
        "--hostname", machine.seed.hostname,
        *_network(machine),
        "--systemd=always",
        "--cap-add", ",".join(CAPABILITIES),
        "--cap-drop", "MKNOD",
        *(["--device", TUNNELS] if Path(TUNNELS).exists() else []),
        *podman.limits,
        *_shares(podman, machine),
        "--label", podman.label,
        *(f"--label={key}={value}" for key, value in labels.items()),
        "--volume", f"{folder}:{seed.MOUNT}:ro",
        machine.image,
    )  # fmt: skip


def run(podman: Podman, paths: Paths, machine: Machine, *, progress: images.Progress) -> None:
    """Make the container from the base image where none is named, start it and wait for its SSH port."""
    if not machine.image:
        machine = Machine(**{**vars(machine), "image": images.ensure(images.GUEST, podman, paths, progress)})
    create(podman, paths, machine)
    try:
        start(podman, machine.name, machine.address)
    except LabError:
        remove(podman, paths, machine.name)
        raise
    if not wait_until(lambda: answers(machine.address, 22), seconds=BOOT_SECONDS):
        logs = f"python -m lab podman -- logs {machine.name}"
        raise LabError(f"{machine.name} does not answer SSH on {machine.address}: see `{logs}`")


def run_plain(
    podman: Podman, name: str, address: str, image: str, *, options: Sequence[str] = (), command: Sequence[str] = ()
) -> None:
    """Run a container without systemd that may make packets of its own, in place of one of its name."""
    podman.ensure_network()
    podman.remove(name)
    podman(
        "run", "--detach", "--init",
        "--name", name,
        "--network", NETWORK,
        "--ip", address,
        "--cap-add", "NET_ADMIN,NET_RAW",
        *podman.limits,
        "--label", podman.label,
        *options,
        image,
        *command,
    )  # fmt: skip


def start(podman: Podman, name: str, address: str) -> None:
    """Start a container; a taken address is named as such."""
    try:
        podman("start", name)
    except LabError as error:
        if "already allocated" in str(error):
            raise LabError(f"{name} cannot have {address}: another container has that address") from error
        raise


def remove(podman: Podman, paths: Paths, *names: str) -> None:
    """Remove containers with their seeds; those that are gone already are no error."""
    podman.remove(*names)
    for name in names:
        seed.remove(paths.seeds / name)


def answers(address: str, port: int) -> bool:
    """Tell whether a TCP port takes connections.

    Asked from the network's own gateway: while no container runs the network is not there, and whoever the machine's
    routes lead to might answer.
    """
    try:
        with socket.create_connection((address, port), timeout=1, source_address=(GATEWAY, 0)):
            return True
    except OSError:
        return False


def _network(machine: Machine) -> list[str]:
    if not machine.connected:
        return ["--network", "none"]
    address = ["--ip", machine.address] if machine.address else []
    return ["--network", NETWORK, *address, *(["--mac-address", machine.mac] if machine.mac else [])]


def _shares(podman: Podman, machine: Machine) -> list[str]:
    shares = []
    if machine.cores and "cpu" in podman.controllers:
        shares += ["--cpus", str(machine.cores)]
    if machine.memory and "memory" in podman.controllers:
        shares += ["--memory", f"{machine.memory}m"]
    return shares


def _check_address(address: str) -> None:
    try:
        inside = IPv4Address(address) in IPv4Network(SUBNET) and address != GATEWAY
    except AddressValueError:
        inside = False
    if not inside:
        raise LabError(f"{address} is no free address of the lab's network {SUBNET}: take one of 198.18.0.3 to .254")
