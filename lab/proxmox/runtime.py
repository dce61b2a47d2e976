"""What runs behind a virtual machine: here, a systemd container."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lab import containers, images
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import GUEST_LABEL, Container, Podman
from lab.proxmox.errors import TaskError
from lab.seed import Seed, write

CLOUD_IMAGE = "cloud"
"""The content of an imported cloud image: the lab's base image."""
_FRESH = 0.3
"""Seconds that an answer about all containers is used for."""


@dataclass(frozen=True)
class Hardware:
    """What a virtual machine is started with."""

    vmid: int
    image: str
    """Content of its boot disk: ``cloud`` or an image of the runtime's."""
    address: str
    """IPv4 address; empty for any."""
    mac: str
    cores: int
    memory: int
    """MiB"""
    seed: Seed = field(default_factory=lambda: Seed("guest"))
    connected: bool = True
    """Whether the cable of any of its network cards is in."""


@dataclass(frozen=True)
class Power:
    """Whether a virtual machine runs, and since when (seconds since the epoch)."""

    running: bool
    since: int = 0


class Runtime(Protocol):
    """What the API needs of the thing that runs the machines."""

    async def states(self) -> dict[int, Power]:
        """Return the machines that have a disk of their own, by VM ID."""

    async def start(self, hardware: Hardware, *, existing: bool) -> None:
        """Boot a machine; ``existing`` says that it has booted before and must still have its disk."""

    async def stop(self, vmid: int, *, seconds: int) -> None:
        """Shut a machine down within a time, or pull its plug (0)."""

    async def remove(self, vmid: int) -> None:
        """Remove a machine with its disk."""

    async def copy_disk(self, vmid: int) -> str:
        """Return an image with the content of a machine's disk."""

    async def remove_image(self, image: str) -> None:
        """Remove an image that :meth:`copy_disk` made."""

    async def ask_agent(self, vmid: int, command: list[str]) -> str:
        """Run a command in a running machine and return its output; raise :class:`LabError` where it cannot."""


def container_name(vmid: int) -> str:
    """Return the name of a machine's container."""
    return f"centralino-vm-{vmid}"


class PodmanRuntime:
    """Machines as podman containers."""

    def __init__(self, podman: Podman, paths: Paths) -> None:
        self._podman = podman
        self._paths = paths
        self._asked = 0.0
        self._answer: dict[int, Container] = {}
        self._asking = asyncio.Lock()

    async def states(self) -> dict[int, Power]:
        """Ask podman; answers are shared between requests of the same moment."""
        return {vmid: Power(box.running, box.started_at) for vmid, box in (await self._containers()).items()}

    async def start(self, hardware: Hardware, *, existing: bool) -> None:
        """Start the machine's container, making it first, or anew with its disk where its network changed."""
        await self._do(self._start, hardware, existing, (await self._containers(fresh=True)).get(hardware.vmid))

    async def stop(self, vmid: int, *, seconds: int) -> None:
        """Stop the container; what does not end in time is killed where ``seconds`` is 0, and an error otherwise."""
        name = container_name(vmid)
        if seconds == 0:
            await self._do(self._podman, "kill", name)
            await self._do(self._podman, "wait", "--condition", "exited", name)
            return
        await self._do(self._podman, "kill", "--signal", "SIGRTMIN+4", name)  # systemd(1): poweroff
        deadline = time.monotonic() + seconds
        while (state := (await self._containers(fresh=True)).get(vmid)) and state.running:
            if time.monotonic() > deadline:
                raise TaskError("VM quit/powerdown failed - got timeout")
            await asyncio.sleep(0.3)

    async def remove(self, vmid: int) -> None:
        """Remove the container and its seed."""
        await self._do(containers.remove, self._podman, self._paths, container_name(vmid))

    async def copy_disk(self, vmid: int) -> str:
        """Commit the container."""
        image = f"localhost/centralino/disk:vm-{vmid}-{time.time_ns():x}"
        await self._do(
            self._podman, "commit", "--quiet", "--change", f"LABEL {self._podman.label}", container_name(vmid), image
        )
        return image

    async def remove_image(self, image: str) -> None:
        """Remove a committed disk; one that a clone's container still stands on stays until that is gone."""
        if image.startswith("localhost/centralino/disk:"):
            with contextlib.suppress(LabError):
                await self._do(self._podman, "rmi", image)

    async def ask_agent(self, vmid: int, command: list[str]) -> str:
        """Run the command in the container once its first-boot step is through."""
        return str(await self._do(self._podman, "exec", container_name(vmid), *command, fresh=False))

    def _start(self, hardware: Hardware, existing: bool, box: Container | None) -> None:
        name = container_name(hardware.vmid)
        if existing and box is None:
            raise TaskError(
                f"volume 'vm-{hardware.vmid}-disk-0' does not exist: its container {name} was removed by hand"
            )
        if not hardware.image:
            raise TaskError(
                f"VM {hardware.vmid} has no bootable disk: import a cloud image into it, or clone a template"
            )
        image = images.reference(images.GUEST) if hardware.image == CLOUD_IMAGE else hardware.image
        card = [hardware.address, hardware.mac] if hardware.connected else []
        network = hashlib.sha256(json.dumps(card).encode()).hexdigest()[:12]
        if box and box.labels.get("centralino.vm-network") != network:
            image = f"localhost/centralino/disk:vm-{hardware.vmid}-moved"
            self._podman("commit", "--quiet", name, image)
            containers.remove(self._podman, self._paths, name)
            box = None
        if box:
            write(self._paths.seeds / name, hardware.seed)
        else:
            labels = {GUEST_LABEL: str(hardware.vmid), "centralino.vm-network": network}
            machine = containers.Machine(
                name=name,
                address=hardware.address,
                image=image,
                seed=hardware.seed,
                mac=hardware.mac,
                cores=hardware.cores,
                memory=hardware.memory,
                labels=labels,
                connected=hardware.connected,
            )
            containers.create(self._podman, self._paths, machine)
        try:
            containers.start(self._podman, name, hardware.address)
        except LabError:
            if box is None and not existing:
                containers.remove(self._podman, self._paths, name)
            raise

    async def _containers(self, *, fresh: bool = False) -> dict[int, Container]:
        async with self._asking:
            if fresh or time.monotonic() - self._asked > _FRESH:
                found = await asyncio.to_thread(self._podman.containers, label=GUEST_LABEL)
                self._answer = {int(box.labels[GUEST_LABEL]): box for box in found.values()}
                self._asked = time.monotonic()
            return self._answer

    async def _do(self, function: Callable[..., Any], *arguments: Any, fresh: bool = True) -> Any:  # noqa: ANN401
        try:
            return await asyncio.to_thread(function, *arguments)
        finally:
            if fresh:
                self._asked = 0.0
