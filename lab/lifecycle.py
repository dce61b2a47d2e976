"""The lab as a whole: up, down, clean, and what runs."""

import contextlib
import shutil
from dataclasses import dataclass

from lab import containers, images, mirror, standin
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import GUEST_LABEL, NETWORK, Podman
from lab.process import exclusively


@dataclass(frozen=True)
class Part:
    """One line of ``status``."""

    name: str
    state: str
    detail: str = ""


def up(podman: Podman, paths: Paths, progress: images.Progress) -> None:
    """Make the lab run. Each step looks first, so a second call is quick and one after an interruption goes on.

    Raises :class:`LabError` where another checkout's lab has guests: theirs have the same names and addresses.
    """
    with exclusively(paths.state / "up.lock"):
        if others := podman.other_labs(GUEST_LABEL):
            raise LabError(
                f"the lab of {others[0].parent} has virtual machines here, whose names and addresses this one "
                "needs: `make clean` there, or `python -m lab clean --others` here, removes them"
            )
        podman.ensure_network()
        images.ensure(images.GUEST, podman, paths, progress)
        mirror.ensure(podman, paths, progress)
        progress("Proxmox stand-in: starting")
        standin.ensure(paths)


def down(podman: Podman, paths: Paths, progress: images.Progress) -> None:
    """Stop guests, stand-in, mirror and namespace. Disks and the stand-in's state stay for the next ``up``."""
    progress("Proxmox stand-in: stopping")
    standin.stop(paths)
    boxes = podman.containers()
    guests = [box.name for box in boxes.values() if GUEST_LABEL in box.labels and box.running]
    if guests:
        progress(f"stopping {', '.join(guests)}")
        podman("stop", "--time", "20", *guests)
    if others := [box.name for box in boxes.values() if GUEST_LABEL not in box.labels]:
        progress(f"removing {', '.join(others)}")
        containers.remove(podman, paths, *others)
    podman.namespace.stop()


def clean(podman: Podman, paths: Paths, progress: images.Progress, *, cache: bool) -> None:
    """Remove containers, images, network and state; with ``cache`` also what the user's cache folder holds."""
    standin.stop(paths)
    if names := list(podman.containers()):
        progress(f"removing {', '.join(names)}")
        containers.remove(podman, paths, *names)
    own = podman("images", "--quiet", "--no-trunc", "--filter", f"label={podman.label}").split()
    if own:
        progress("removing images")
        with contextlib.suppress(LabError):  # an image that another lab's container stands on stays
            podman("rmi", "--ignore", *dict.fromkeys(own))
    with contextlib.suppress(LabError):  # a network that another lab's container is on stays
        podman("network", "rm", NETWORK)
    podman.namespace.stop()
    shutil.rmtree(paths.state, ignore_errors=True)
    if cache:
        progress(f"removing {paths.cache}")
        shutil.rmtree(paths.cache, ignore_errors=True)


def status(podman: Podman, paths: Paths) -> list[Part]:
    """Tell what runs, without starting anything."""
    namespace = podman.namespace
    parts = []
    if namespace.needed:
        pid = namespace.pid
        parts.append(Part("mount namespace", "running" if pid else "stopped", f"process {pid}" if pid else ""))
    api = standin.running(paths)
    parts.append(
        Part(
            "Proxmox stand-in",
            "running" if api else "stopped",
            f"https://{standin.HOST}:{standin.port()}" if api else "",
        )
    )
    if namespace.needed and not namespace.pid:
        return parts
    for box in sorted(podman.containers().values(), key=lambda box: box.name):
        address = mirror.ADDRESS if box.name == mirror.NAME else box.address
        parts.append(Part(box.name, box.status, address))
    return parts
