"""The lab's package mirror: one container with apt-cacher-ng and the signed repository of rebuilt packages."""

from lab import images
from lab.containers import answers
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import NETWORK, Podman
from lab.process import exclusively, wait_until

NAME = "centralino-mirror"
ADDRESS = "198.18.0.2"
PROXY_PORT = 3142
PROXY = f"http://{ADDRESS}:{PROXY_PORT}"
REPOSITORY = f"http://{ADDRESS}/asterisk/"


def ensure(podman: Podman, paths: Paths, progress: images.Progress) -> None:
    """Start the mirror where it does not run, from the image of today's recipe."""
    with exclusively(paths.state / "mirror.lock"):
        image = images.ensure(images.MIRROR, podman, paths, progress)
        container = podman.containers().get(NAME)
        if container and container.running and container.labels.get("centralino.image") == image:
            return
        progress("mirror: starting")
        podman.remove(NAME, grace=1)
        owner = paths.apt_cache.stat()
        podman(
            "run", "--detach",
            "--name", NAME,
            "--network", NETWORK, "--ip", ADDRESS,
            # An ordinary process in a read-only container; it writes as the cache folder's owner, into the cache alone.
            "--user", f"{owner.st_uid}:{owner.st_gid}",
            "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges",
            "--sysctl", "net.ipv4.ip_unprivileged_port_start=80",
            "--read-only", "--tmpfs", "/tmp",  # noqa: S108 (the container's own)
            "--volume", f"{paths.apt_cache}:/var/cache/apt-cacher-ng",
            "--volume", f"{paths.repository}:/srv/asterisk:ro",
            "--restart", "on-failure:5",
            *podman.limits,
            "--label", podman.label, "--label", f"centralino.image={image}",
            image,
        )  # fmt: skip
        up = wait_until(lambda: answers(ADDRESS, PROXY_PORT) and answers(ADDRESS, 80), seconds=10)
        if not up:
            raise LabError(f"the mirror does not answer on {PROXY}: see `python -m lab podman -- logs {NAME}`")


def stop(podman: Podman) -> None:
    """Remove the mirror; what it has cached stays in the cache folder."""
    podman.remove(NAME, grace=1)
