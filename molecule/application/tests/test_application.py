"""The release runs, an interrupted one repairs itself, and older ones stay while they are needed."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenario_fixtures import Converge, Refused
from testinfra.host import Host

ARCHIVER = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "scripts" / "application-archive"
IMPORTS = {
    "agent": "centralino.asterisk, centralino.agent, httpx, pydantic",
    "cti": "centralino.cti.main, nacl, orjson, picows, uvloop",
    "panel": "centralino.panel, django, axes, csp, defusedxml, gunicorn, psycopg, jwt, yaml, typer",
}


@pytest.fixture(scope="module")
def packed() -> tuple[str, str]:
    """Return the release and the archive that there are now."""
    said = subprocess.run([ARCHIVER], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    release, archive = said.split(" ", 1)
    return release, archive


@pytest.fixture
def home(packed: tuple[str, str]) -> str:
    return f"/opt/centralino/{packed[0]}"


@pytest.fixture
def again(converge: Converge, packed: tuple[str, str]) -> Callable[..., str]:
    """Return a function that applies the role with the release that the module began with, or what it is given."""
    release, archive = packed

    def run(**variables: object) -> str:
        return converge(**{"application_release": release, "application_archive": archive, **variables})

    return run


@pytest.fixture
def old_releases(host: Host) -> Iterator[list[str]]:
    """Make complete-looking releases of the past, oldest first."""
    folders = [f"/opt/centralino/{digit * 12}" for digit in "abcd"]
    for age, folder in zip((40, 30, 20, 10), folders, strict=True):
        host.check_output(
            f"mkdir -p {folder}/bin && cp /usr/bin/sleep {folder}/bin/ && touch -d '-{age} days' {folder}"
        )
    yield folders
    host.check_output(f"rm -rf {' '.join(folders)}")


@pytest.mark.parametrize("extra", IMPORTS)
def test_every_part_has_what_it_imports(host: Host, home: str, extra: str) -> None:
    host.check_output(
        f"setpriv --reuid=nobody --regid=nogroup --clear-groups {home}/bin/python -I -c 'import {IMPORTS[extra]}'"
    )


def test_the_package_is_the_guests_own(host: Host, home: str) -> None:
    where = host.check_output(f"{home}/bin/python -I -c 'import centralino; print(centralino.__path__[0])'")
    assert where.startswith(f"{home}/lib/")


def test_modules_are_compiled_before_they_run(host: Host, home: str) -> None:
    cached = host.check_output(f"{home}/bin/python -I -c 'import pydantic.main; print(pydantic.main.__cached__)'")
    assert host.file(cached).exists
    assert host.file(cached).content[4:8] == b"\x01\x00\x00\x00"  # PEP 552: checked by hash, and not at import


def test_nobody_but_root_writes_there(host: Host, home: str) -> None:
    assert host.check_output(f"find {home} '(' -not -user root -o -perm /022 ')' -not -type l") == ""
    assert host.check_output(f"find {home} -type d -not -perm -005") == ""


def test_the_archive_does_not_stay(host: Host) -> None:
    assert not host.file("/opt/centralino/.incoming").exists


def test_an_interrupted_run_is_repaired(host: Host, home: str, again: Callable[..., str]) -> None:
    host.check_output(
        f"rm -rf {home}/.complete* {home}/lib/python3.13/site-packages/pydantic;"
        " mkdir -p /opt/centralino/.incoming/wheels"
    )
    again()
    host.check_output(f"{home}/bin/python -I -c 'import pydantic.main'")
    assert not host.file("/opt/centralino/.incoming").exists


def test_old_releases_go_but_not_those_in_use(host: Host, again: Callable[..., str], old_releases: list[str]) -> None:
    running, named, oldest_idle, newest = old_releases[0], old_releases[1], old_releases[2], old_releases[3]
    host.check_output(f"systemd-run --quiet --collect --unit old-release {running}/bin/sleep infinity")
    host.check_output(f"printf '[Service]\\nExecStart=%s/bin/sleep 1\\n' {named} >/etc/systemd/system/stopped.service")
    try:
        host.check_output("rm /opt/centralino/*/.complete-*")
        again()
        there = {folder for folder in old_releases if host.file(folder).exists}
        assert there == {running, named, newest}, f"{oldest_idle} should be gone"
    finally:
        host.check_output("systemctl stop old-release; rm /etc/systemd/system/stopped.service")


def test_a_changed_wheel_is_refused(host: Host, packed: tuple[str, str], tmp_path: Path, converge: Converge) -> None:
    content = bytearray(Path(packed[1]).read_bytes())
    at = content.index(b"wheels/h11-") + 512 + 5000  # a byte inside a wheel, behind its header in the tar
    content[at] ^= 1
    forged = tmp_path / "application-0123456789ab.tar"
    forged.write_bytes(content)
    said = converge(fails=True, application_release="0123456789ab", application_archive=str(forged))
    assert "DO NOT MATCH THE HASHES" in said
    assert not host.file("/opt/centralino/0123456789ab/.complete").exists
    host.check_output("rm -rf /opt/centralino/0123456789ab /opt/centralino/.incoming")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"application_release": "latest"}, "not twelve hexadecimal digits"),
        ({"application_extras": []}, "application_extras is empty"),
        ({"application_release": "0" * 12, "application_archive": "/none.tar"}, "no file on the controller"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(refused: Refused, variables: dict[str, object], sentence: str) -> None:
    assert sentence in refused(variables)
