"""The agent's directory: what is wanted, what is accepted, and the releases.

    snapshot.json     the accepted snapshot: what the PBX runs
    next.json         a snapshot that is being applied; after a crash it is applied again
    releases/<id>/    rendered files, never edited; ``objects.json`` beside them says what Asterisk must have loaded
    current           symlink to the release that Asterisk reads
    former            symlink to the release before ``current``, only while ``next.json`` is being applied
    result.json       an outcome that the panel has not been told yet
    candidate/        the trial Asterisk's directory

Every change is one rename, so that a crash leaves either the old or the new.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from centralino.asterisk.objects import Kind, Object, Objects
from centralino.asterisk.render import NOTHING, Release
from centralino.contract.model import Model
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot

KEPT_RELEASES = 5

_OBJECTS = "objects.json"


class Store:
    """The directory; ``locked()`` keeps two processes from applying at once."""

    def __init__(self, directory: Path) -> None:
        directory = directory.resolve()  # Asterisk would read relative symlinks from elsewhere
        self._directory = directory
        self._releases = directory / "releases"
        self._releases.mkdir(parents=True, exist_ok=True)
        self.candidate = directory / "candidate"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until nobody else changes the directory, and clear what a crash left."""
        with (self._directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for left in [*self._directory.glob("*.new"), *self._releases.glob("*.new")]:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            if not self._path("next.json").exists():
                self._path("former").unlink(missing_ok=True)
            yield

    def accepted(self) -> Snapshot | None:
        """Return the snapshot that the PBX runs."""
        return _read(self._path("snapshot.json"), Snapshot)

    def proposed(self) -> Snapshot | None:
        """Return the snapshot whose apply has not come to its end."""
        return _read(self._path("next.json"), Snapshot)

    def propose(self, snapshot: Snapshot) -> None:
        """Note that ``snapshot`` is being applied."""
        _write(self._path("next.json"), snapshot.document())

    def accept(self) -> None:
        """Make the proposed snapshot the accepted one."""
        self._path("next.json").rename(self._path("snapshot.json"))
        _sync(self._directory)
        self._path("former").unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Forget the proposed snapshot."""
        self._path("next.json").unlink(missing_ok=True)
        _sync(self._directory)
        self._path("former").unlink(missing_ok=True)

    def write_release(self, etag: str, release: Release) -> str:
        """Store a release and return its id.

        It is the snapshot's etag and a digest of the text, so another text makes another release.
        """
        objects = {name: sorted(objects) for name, objects in release.objects.items()}
        files = release.files | {_OBJECTS: json.dumps(objects)}
        name = f"{etag}-{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]}"
        path = self.release(name)
        if not _holds(path, files):
            new = path.with_name(f"{name}.new")
            new.mkdir(mode=0o750)
            for file, text in files.items():
                _write(new / file, text.encode())
            if path.exists():  # damaged from outside
                shutil.rmtree(path)
            new.rename(path)
            _sync(self._releases)
        return name

    def release(self, name: str) -> Path:
        """Return the directory of a release."""
        return self._releases / name

    def objects(self, name: str | None) -> Objects:
        """Return what Asterisk has loaded when it runs release ``name``, or none."""
        try:
            stored = json.loads((self.release(name) / _OBJECTS).read_text()) if name else {}
            objects = {
                file: frozenset(Object(Kind(kind), text) for kind, text in stored.get(file, ())) for file in NOTHING
            }
        except (OSError, ValueError, AttributeError, TypeError):
            # Damaged from outside, or of a newer agent that knew more: what is loaded then differs, and that is said.
            return NOTHING
        return objects

    def current(self) -> str | None:
        """Return the id of the release that Asterisk reads."""
        return self._link("current")

    def swap(self, name: str) -> None:
        """Let ``current`` point at release ``name``, remembering where it pointed."""
        if not self.swapped():
            self._point("former", self.current() or "none")
        self._point("current", name)
        os.utime(self.release(name))

    def swapped(self) -> bool:
        """Tell whether ``current`` has been swapped for a snapshot that is not yet accepted."""
        return self._path("former").is_symlink()

    def swap_back(self) -> str | None:
        """Let ``current`` point where it did before :meth:`swap`; return that release, None where there was none."""
        former = self._link("former")
        if former is not None:
            self._point("current", former)
        elif self.swapped():
            self._path("current").unlink(missing_ok=True)
            _sync(self._directory)
        return self.current()

    def prune(self) -> None:
        """Remove all releases but the current one and those used last."""
        current = self.current()
        releases = sorted(self._releases.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in [path for path in releases if path.name != current][KEPT_RELEASES - 1 :]:
            shutil.rmtree(path)

    def result(self) -> ApplyResult | None:
        """Return the outcome that the panel has not been told."""
        return _read(self._path("result.json"), ApplyResult)

    def keep_result(self, result: ApplyResult) -> None:
        """Keep an outcome until the panel has it; a later one takes its place."""
        _write(self._path("result.json"), result.model_dump_json().encode())

    def drop_result(self) -> None:
        """Forget the outcome: the panel has it."""
        self._path("result.json").unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _link(self, name: str) -> str | None:
        """Return the release that a symlink points at, None where it or its release is missing."""
        path = self._path(name)
        return path.readlink().name if path.is_symlink() and path.is_dir() else None

    def _point(self, name: str, release: str) -> None:
        new = self._path(f"{name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(Path("releases") / release)
        new.rename(self._path(name))
        _sync(self._directory)


def _holds(directory: Path, files: dict[str, str]) -> bool:
    try:
        return all((directory / name).read_text() == text for name, text in files.items())
    except (OSError, UnicodeDecodeError):
        return False


def _read[M: Model](path: Path, model: type[M]) -> M | None:
    """Return the model that a file holds; None where there is none, or where it is damaged: the panel has it, too."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, for its mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
