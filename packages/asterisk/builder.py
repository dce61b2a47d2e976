"""Rebuild Debian's Asterisk for the guests' release and publish it as a signed flat APT repository.

The work happens in a container from the base image, by the scripts in ``recipe/``: ``prepare.sh`` (tools, build
dependencies, source), ``compile.sh`` and ``repository.sh``. Their content is the fingerprint of what is published: as
long as it is unchanged, a run only looks and returns. An interrupted run is continued: the prepared container and the
compiler cache stay.
"""

# ruff: noqa: INP001, S603, T201 - a program of its own; it runs podman and prints for the person who builds

import argparse
import fcntl
import hashlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from progress import Progress

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
RECIPE = HERE / "recipe"
CONTAINER = "centralino-asterisk-builder"
LABEL = "centralino.recipe"
LAB_IMAGE = "localhost/centralino/base"
_LIMIT = 16384
"""Open files and processes that the build may use: ample, and less than any machine allows."""


class BuildError(Exception):
    """Something that keeps the repository from being built; the text is for the person who reads it."""


@dataclass(frozen=True)
class Settings:
    """What a run was asked for."""

    podman: list[str]
    image: str | None
    """Base image (Debian 13); None takes the lab's own."""
    network: str | None
    cache: Path
    mirror: str
    apt_proxy: str
    check_valid_until: str
    jobs: int
    rebuild: bool
    clean: bool

    @property
    def repository(self) -> Path:
        """The published repository."""
        return self.cache / "asterisk"

    @property
    def work(self) -> Path:
        """Log, lock, compiler cache and the repository before it is published."""
        return self.cache / "asterisk-build"

    @property
    def keys(self) -> Path:
        """Where the private signing key lives."""
        return self.cache / "keys"

    @property
    def log(self) -> Path:
        """Everything that the build printed."""
        return self.work / "build.log"


def fingerprint(recipe: Path) -> str:
    """Return 16 hexadecimal digits that change with the content of any file of the recipe."""
    digest = hashlib.sha256()
    for path in sorted(recipe.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def is_current(repository: Path, wanted: str) -> bool:
    """Tell whether the repository was completely published from the wanted recipe."""
    mark = repository / "fingerprint"
    if not mark.is_file() or mark.read_text().strip() != wanted:
        return False
    return all((repository / part).is_file() for part in ("InRelease", "Packages", "centralino.asc", "version"))


def publish(source: Path, repository: Path, mark: str) -> None:
    """Bring the files of ``source`` into the live ``repository`` so that a client sees the old state or the new one.

    Packages and the indexes by hash come first and disturb nobody, then the named indexes, then the signed files that
    refer to them; what is no longer referred to goes last. The folder itself stays: a web server may have it mounted.
    """
    order = {"Packages": 1, "Packages.gz": 1, "Release": 2, "Release.gpg": 2, "InRelease": 3}
    found = (path for path in source.rglob("*") if path.is_file())
    files = sorted(found, key=lambda path: (order.get(path.name, 0), path.name))
    repository.mkdir(parents=True, exist_ok=True)
    (repository / "fingerprint").unlink(missing_ok=True)
    names = {path.relative_to(source) for path in files}
    for path in files:
        target = repository / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    for path in list(repository.rglob("*")):
        if path.is_file() and path.relative_to(repository) not in names:
            path.unlink()
    (repository / "fingerprint").write_text(mark + "\n")


class Builder:
    """The builder container and what is run in it."""

    def __init__(self, settings: Settings, mark: str, progress: Progress) -> None:
        self._settings = settings
        self._mark = mark
        self._progress = progress

    def start(self) -> None:
        """Start the container, the prepared one of an interrupted run if there is one; end what still runs in it."""
        label = self._podman("inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', CONTAINER, check=False)
        if label == self._mark:
            self._podman("stop", "--time", "0", CONTAINER, check=False)
            if self._podman("start", CONTAINER, check=False) and self._repair():
                return
        self.remove()
        settings = self._settings
        mounts = {
            RECIPE: "/recipe:ro",
            settings.work / "out": "/out",
            settings.work / "ccache": "/ccache",
            settings.keys: "/keys",
        }
        for folder in mounts:
            folder.mkdir(parents=True, exist_ok=True)
        settings.keys.chmod(0o700)
        # Never more than this shell may have: without the capability to raise limits, a container cannot have more.
        limits = [
            f"{name}={min(_LIMIT, hard) if hard != resource.RLIM_INFINITY else _LIMIT}"
            for name, (_, hard) in (
                ("nofile", resource.getrlimit(resource.RLIMIT_NOFILE)),
                ("nproc", resource.getrlimit(resource.RLIMIT_NPROC)),
            )
        ]
        self._podman(
            *("run", "--detach", "--name", CONTAINER, "--label", f"{LABEL}={self._mark}", "--pids-limit=-1"),
            *(part for limit in limits for part in ("--ulimit", limit)),
            *(part for folder, target in mounts.items() for part in ("--volume", f"{folder}:{target}")),
            *(("--network", settings.network) if settings.network else ()),
            *(settings.image or self._lab_image(), "sleep", "infinity"),
        )

    def _repair(self) -> bool:
        """Finish the installation of packages that an interruption broke off; False where that is impossible."""
        finish = "dpkg --configure -a && apt-get --yes --fix-broken install && echo whole"
        shell = ("exec", "--env=DEBIAN_FRONTEND=noninteractive", CONTAINER, "sh", "-c", finish)
        return self._podman(*shell, check=False).endswith("whole")

    def run(self, stage: str, script: str, **environment: str) -> None:
        """Run a script of the recipe; its output goes to the log and drives the progress display.

        A script that failed raises :class:`BuildError`, with the script's own words if it said ``FAILURE: …``.
        """
        settings = self._settings
        command = [*settings.podman, "exec", *(f"--env={name}={value}" for name, value in environment.items())]
        self._progress.begin(stage)
        reason = "the reason is at its end"
        with settings.log.open("a") as log:
            log.write(f"\n===== {stage}\n")
            with subprocess.Popen(
                [*command, CONTAINER, f"/recipe/{script}"],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process:
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    self._progress.line(line)
                    if line.startswith("FAILURE: "):
                        reason = line.removeprefix("FAILURE: ").strip()
        if process.returncode:
            raise BuildError(f"Asterisk was not built, stage '{stage}' failed: {reason}; log: {settings.log}")
        self._progress.end()

    def stop(self) -> None:
        """Stop the container and all that runs in it, but keep it for the next attempt."""
        self._podman("stop", "--time", "0", CONTAINER, check=False)

    def remove(self) -> None:
        """Remove the container."""
        self._podman("rm", "--force", "--ignore", "--time", "0", CONTAINER)

    def _lab_image(self) -> str:
        """Return the newest base image that the lab has made."""
        found = self._podman("images", "--filter", f"reference={LAB_IMAGE}", "--format", "{{.Repository}}:{{.Tag}}")
        if not found:
            raise BuildError("the lab has no base image yet: run 'make up', or name a Debian 13 image with --image")
        return found.splitlines()[0]

    def _podman(self, *arguments: str, check: bool = True) -> str:
        try:
            done = subprocess.run(
                [*self._settings.podman, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise BuildError(
                f"{self._settings.podman[0]} was not found: install podman or name the command with --podman"
            ) from error
        if check and done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise BuildError(f"podman {arguments[0]} failed for the builder container {CONTAINER}: {last}")
        return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock; while another build holds it, say so and wait for its end."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"asterisk: another build is running, waiting for it (lock: {path})", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(settings: Settings) -> None:
    """Publish the repository unless it is there already."""
    mark = fingerprint(RECIPE)
    if not settings.rebuild and is_current(settings.repository, mark):
        print(f"asterisk: {describe(settings.repository)} is built already")
        return
    settings.work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with locked(settings.work / "lock"):
        if not settings.rebuild and is_current(settings.repository, mark):
            print(f"asterisk: {describe(settings.repository)} was built meanwhile")
            return
        settings.log.write_text(f"recipe {mark}\n")
        with Progress(sys.stderr) as progress:
            builder = Builder(settings, mark, progress)
            try:
                builder.start()
                builder.run(
                    "tools and source",
                    "prepare.sh",
                    MIRROR=settings.mirror,
                    APT_PROXY=settings.apt_proxy,
                    CHECK_VALID_UNTIL=settings.check_valid_until,
                )
                builder.run("compile", "compile.sh", JOBS=str(settings.jobs))
                builder.run("repository", "repository.sh")
            except BaseException:
                builder.stop()
                raise
            publish(settings.work / "out", settings.repository, mark)
            builder.remove()
            shutil.rmtree(settings.work / "out")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"asterisk: {describe(settings.repository)} built in {minutes} min {seconds} s")


def clean(settings: Settings) -> None:
    """Remove what a build leaves behind for the next attempt; the published repository and its key stay."""
    settings.work.mkdir(parents=True, exist_ok=True)
    with locked(settings.work / "lock"):
        Builder(settings, "", Progress(sys.stderr)).remove()
        shutil.rmtree(settings.work)


def describe(repository: Path) -> str:
    """Return version and place of the published packages."""
    return f"{(repository / 'version').read_text().strip()} in {repository}"


def parse(arguments: list[str]) -> Settings:
    """Read the command line."""
    default_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "centralino"
    parser = argparse.ArgumentParser(
        prog="packages/asterisk/build", description="Build Asterisk into a signed APT repository."
    )
    parser.add_argument("--cache", type=Path, default=default_cache, help="folder of caches (default: %(default)s)")
    parser.add_argument("--podman", help="podman command (default: the lab's, in its namespace)")
    parser.add_argument("--image", help="Debian 13 base image (default: the lab's)")
    parser.add_argument("--network", help="podman network of the builder container (default: podman's)")
    parser.add_argument(
        "--mirror", default="http://deb.debian.org/debian", help="Debian mirror of the source (default: %(default)s)"
    )
    parser.add_argument("--apt-proxy", default="", help="HTTP proxy for APT in the builder container")
    parser.add_argument(
        "--check-valid-until",
        choices=("yes", "no"),
        default="yes",
        help="no: accept a mirror whose Release file is past its date",
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="parallel compiler runs (default: %(default)s)"
    )
    parser.add_argument("--rebuild", action="store_true", help="build even if the repository is current")
    parser.add_argument(
        "--clean", action="store_true", help="remove the builder's container, compiler cache and log, and build nothing"
    )
    given = parser.parse_args(arguments)
    return Settings(
        podman=shlex.split(given.podman) if given.podman else [sys.executable, "-m", "lab", "podman", "--"],
        image=given.image,
        network=given.network,
        cache=given.cache.resolve(),
        mirror=given.mirror,
        apt_proxy=given.apt_proxy,
        check_valid_until=given.check_valid_until,
        jobs=given.jobs,
        rebuild=given.rebuild,
        clean=given.clean,
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run and return the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    settings = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        (clean if settings.clean else build)(settings)
    except BuildError as error:
        print(f"asterisk: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"asterisk: {error.filename or settings.cache}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asterisk: interrupted; the same command continues the build", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
