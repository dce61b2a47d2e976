"""Images made with mmdebstrap: a recipe becomes a tar in the cache folder, and the tar an image in podman's storage.

An image's tag is a hash of its recipe, so a changed recipe makes a new image and an unchanged one is reused, by every
checkout of the user.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import Paths
from lab.podman import Podman
from lab.process import exclusively, last_words

SUITE = "trixie"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
MIRROR_VARIABLE = "CENTRALINO_DEBIAN_MIRROR"
NEEDED_BYTES = 3 * 2**30
"""Room for a tar, its image and the layers of a small cluster's guests."""

_IMAGE_FOLDER = Path(__file__).parent / "image"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What an image holds."""

    name: str
    packages: tuple[str, ...]
    units: tuple[str, ...] = ()
    """systemd units that are enabled."""
    command: str = "/lib/systemd/systemd"
    stop_signal: str = "SIGRTMIN+3"
    """systemd(1): halt cleanly."""

    @property
    def files(self) -> Path:
        """The folder of files that are laid over the packages."""
        return _IMAGE_FOLDER / self.name


GUEST = Recipe(
    name="guest",
    packages=(
        "ca-certificates", "cron", "dbus", "gpgv", "iproute2", "iputils-ping", "kmod", "less", "libnss-systemd",
        "libpam-systemd",
        "nftables", "openssh-server", "procps", "python3", "python3-apt", "python3-cryptography", "python3-jinja2",
        "sudo", "systemd", "systemd-sysv", "udev",
    ),
    units=("lab-first-boot.service", "lab-ssh-host-keys.service"),
)  # fmt: skip
MIRROR = Recipe(
    name="mirror",
    packages=("apt-cacher-ng", "ca-certificates", "python3-minimal", "libpython3-stdlib"),
    command="/usr/local/lib/lab/mirror",
    stop_signal="SIGTERM",
)

PHONE = Recipe(
    name="phone",
    packages=("ca-certificates", "iproute2", "nftables", "sip-tester"),
    command="sleep infinity",
    stop_signal="SIGTERM",
)

AUDITOR = Recipe(
    name="auditor",
    packages=(
        "bsdextrautils", "ca-certificates", "conntrack", "iproute2", "lynis", "nmap", "sipvicious", "ssh-audit",
        "testssl.sh",
    ),
    command="sleep infinity",
    stop_signal="SIGTERM",
)  # fmt: skip


def debian_mirror() -> str:
    """Return the Debian mirror that images are made from and that guests use."""
    return os.environ.get(MIRROR_VARIABLE, DEFAULT_MIRROR).rstrip("/")


def reference(recipe: Recipe) -> str:
    """Return the image's name, whose tag changes with everything that goes into it."""
    digest = hashlib.sha256()
    for argument in [SUITE, debian_mirror(), *_arguments(recipe, relative=True)]:
        digest.update(argument.encode() + b"\0")
    for file in _files(recipe):
        digest.update(file.read_bytes() + b"\0")
    name = "base" if recipe is GUEST else recipe.name
    return f"localhost/centralino/{name}:{digest.hexdigest()[:12]}"


def ensure(recipe: Recipe, podman: Podman, paths: Paths, progress: Progress) -> str:
    """Return the image's name, making the image first where podman does not have it.

    Safe to call from several processes at once.
    """
    image = reference(recipe)
    if podman.has_image(image):
        return image
    with exclusively(paths.cache / f"{recipe.name}.lock"):
        if not podman.has_image(image):
            tar = paths.cache / "images" / f"{recipe.name}-{image.rpartition(':')[2]}.tar"
            if not tar.is_file():
                _build(recipe, tar, podman, progress)
            progress(f"{recipe.name} image: handing it to podman")
            changes = [
                f"CMD {json.dumps(recipe.command.split())}",
                f"STOPSIGNAL {recipe.stop_signal}",
                f"LABEL {podman.label}",
            ]
            podman("import", *(f"--change={change}" for change in changes), str(tar), image, seconds=600)
    return image


def _build(recipe: Recipe, tar: Path, podman: Podman, progress: Progress) -> None:
    tar.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(tar.parent).free
    if free < NEEDED_BYTES:
        raise LabError(
            f"{tar.parent} has {free / 2**30:.1f} GB free and the lab needs {NEEDED_BYTES / 2**30:.0f}: "
            "make room there, or set XDG_CACHE_HOME to a larger disk"
        )
    for old in tar.parent.glob(f"{recipe.name}-*.tar*"):
        old.unlink()
    new = tar.with_suffix(".tar.new")
    command = [*podman.sudo, "mmdebstrap", "--mode=auto", *_arguments(recipe), SUITE, "-", debian_mirror()]
    with new.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True)  # noqa: S603
        said: list[str] = []
        for line in process.stderr or ():
            said.append(line)
            if line.startswith("I: ") and "hook" not in line and "using" not in line:
                progress(f"{recipe.name} image: {line[3:].strip().rstrip('.')}")
        if process.wait() != 0:
            errors = [line for line in said if line.startswith("E: ")]
            raise LabError(
                f"the {recipe.name} image cannot be made from {debian_mirror()}: {last_words(''.join(errors or said))} "
                f"(another mirror: set {MIRROR_VARIABLE})"
            )
    new.replace(tar)


def _arguments(recipe: Recipe, *, relative: bool = False) -> list[str]:
    """Return mmdebstrap's arguments; ``relative`` leaves this checkout's path out, for the hash."""
    return [
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-include=/usr/share/locale/locale.alias",
        *(f"--customize-hook={hook}" for hook in _hooks(recipe, relative=relative)),
    ]


def _hooks(recipe: Recipe, *, relative: bool) -> Iterator[str]:
    for file in _files(recipe):
        target = "/" + str(file.relative_to(recipe.files))
        mode = "0755" if os.access(file, os.X_OK) else "0644"
        yield f'mkdir -p "$1{Path(target).parent}"'
        yield f"upload {file.relative_to(_IMAGE_FOLDER) if relative else file} {target}"
        yield f'chown root:root "$1{target}" && chmod {mode} "$1{target}"'
    for unit in recipe.units:
        yield f'chroot "$1" systemctl enable {unit}'
    # What must be each guest's own is made at its first boot.
    yield 'rm -f "$1"/etc/ssh/ssh_host_* && : > "$1/etc/machine-id"'
    yield 'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"'


def _files(recipe: Recipe) -> list[Path]:
    return sorted(path for path in recipe.files.rglob("*") if path.is_file())
