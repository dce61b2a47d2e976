"""A trial Asterisk: it boots on a new release where nobody can reach it, and says what it has loaded.

Its configuration directory holds symlinks to the live one's files, another ``release``, and an ``asterisk.conf`` that
gives it directories of its own. It runs in a user and a network namespace of its own (``unshare``), which needs no
privileges: the live Asterisk's ports, database and call records are out of its reach.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from centralino.asterisk.cli import Asterisk, AsteriskError
from centralino.asterisk.objects import Objects, differences

_BOOT_SECONDS = 60.0
"""A PBX of the documented size boots in two seconds; one with a slow disk and ten times the devices still has time."""

_OWN_DIRECTORIES = {
    "astvarlibdir": "lib",
    "astrundir": "run",
    "astlogdir": "log",
    "astdbdir": "db",
    "astspooldir": "spool",
    "astcachedir": "cache",
}
_OWN_FILES = {"asterisk.conf", "logger.conf", "release"}
_LIVE_OPTIONS = {"runuser", "rungroup", "highpriority", "alwaysfork"}
"""Options that make no sense for a process without privileges that we wait for."""

# setpriv comes last, for a change of the namespace clears the death signal; with it no crash of ours leaves a trial
# Asterisk behind.
_ISOLATED = ("unshare", "--map-root-user", "--net", "setpriv", "--pdeathsig", "KILL")

_LOGGER = "[general]\n[logfiles]\ncandidate.log => error\n"
_LOG_LINES = 3


class CandidateError(Exception):
    """The trial Asterisk did not come up; the text says why."""


def finding(release: Path, wanted: Objects, *, live: Path, directory: Path) -> str:
    """Boot ``release`` beside the configuration directory ``live`` and return what is wrong with it, empty if nothing.

    Bounded: it takes a minute at the very most.

    Raises:
        AsteriskError: where it did not answer in time, which says nothing of ``release``: the guest may be busy.

    """
    try:
        with _boot(release, live, directory) as asterisk:
            if wrong := differences(wanted, asterisk.objects()):
                return f"a trial start did not load it: {wrong}{_complaints(directory)}"
    except CandidateError as error:
        return f"{error}{_complaints(directory)}"
    except AsteriskError as error:
        raise AsteriskError(f"{error}{_complaints(directory)}") from None
    return ""


def own_settings(live: str, directory: Path) -> str:
    """Return the trial Asterisk's ``asterisk.conf`` from the live one's text, with its directories in ``directory``."""
    sections: dict[str, dict[str, str]] = {"directories": {}, "options": {}}
    section: dict[str, str] = {}
    for line in (raw.partition(";")[0].strip() for raw in live.splitlines()):
        if line.startswith("["):  # one that is followed by (!) is a template, which Asterisk does not use
            name, _, template = line.strip("[").partition("]")
            section = {} if "!" in template else sections.setdefault(name, {})
        elif "=" in line:
            key, _, value = line.partition("=")
            section[key.strip()] = value.lstrip(">").strip()
    own = {key: str(directory / name) for key, name in _OWN_DIRECTORIES.items()} | {"astetcdir": str(directory / "etc")}
    options = {key: value for key, value in sections["options"].items() if key not in _LIVE_OPTIONS}
    lines = ["[directories]", *(f"{key} => {value}" for key, value in (sections["directories"] | own).items())]
    lines += ["[options]", *(f"{key} = {value}" for key, value in options.items())]
    return "\n".join([*lines, ""])


def lay_out(release: Path, live: Path, directory: Path) -> Path:
    """Make the trial Asterisk's directory anew and return its ``asterisk.conf``."""
    shutil.rmtree(directory, ignore_errors=True)
    for name in (*_OWN_DIRECTORIES.values(), "etc"):
        (directory / name).mkdir(parents=True, mode=0o750)
    etc = directory / "etc"
    for path in live.iterdir():
        if path.name not in _OWN_FILES:
            (etc / path.name).symlink_to(path)
    (etc / "release").symlink_to(release)
    (etc / "logger.conf").write_text(_LOGGER)
    settings = etc / "asterisk.conf"
    settings.write_text(own_settings((live / "asterisk.conf").read_text(), directory))
    return settings


@contextmanager
def _boot(release: Path, live: Path, directory: Path) -> Iterator[Asterisk]:
    settings = lay_out(release, live, directory)
    deadline = time.monotonic() + _BOOT_SECONDS
    command = [*_ISOLATED, "asterisk", "-f", "-C", str(settings)]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 (fixed words and a path of ours)
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # without NOTIFY_SOCKET: it must not tell systemd that we are ready
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(directory)},
        )
    try:
        asterisk = Asterisk(settings)
        _await(asterisk, process, directory, deadline)
        yield asterisk
    finally:
        process.kill()  # nothing of it is worth an orderly end
        process.wait()


def _await(asterisk: Asterisk, process: subprocess.Popen[bytes], directory: Path, deadline: float) -> None:
    while True:
        if process.poll() is not None:
            said = (directory / "output").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise CandidateError(f"a trial start ended at once: {said[-1]}")
        try:
            asterisk.command("core waitfullybooted", seconds=max(0.1, deadline - time.monotonic()))
        except AsteriskError:
            if time.monotonic() > deadline:
                raise AsteriskError(f"a trial start was not ready after {_BOOT_SECONDS:g} s") from None
            time.sleep(0.05)
        else:
            return


def _complaints(directory: Path) -> str:
    """Return the last errors that the trial Asterisk logged about its configuration."""
    try:
        lines = (directory / "log" / "candidate.log").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # "[Nov 22 04:40:11] ERROR[4389] loader.c: text"; that a module without a configuration declines is no news
    texts = [line.partition(": ")[2] for line in lines if ": " in line and "declined to load" not in line]
    return f" (Asterisk: {' | '.join(texts[-_LOG_LINES:])})" if texts else ""
