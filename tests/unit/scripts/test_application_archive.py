"""The release's name: the same for the same sources, another for any change, blind to what tools leave behind."""

import importlib.machinery
import importlib.util
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "application-archive"


@pytest.fixture
def archiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script as a module that looks at a small checkout of its own."""
    loader = importlib.machinery.SourceFileLoader("application_archive", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "src" / "centralino" / "panel").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "src" / "requirements-agent.txt").write_text("httpx==1\n")
    (tmp_path / "src" / "centralino" / "__init__.py").write_text("")
    (tmp_path / "src" / "centralino" / "panel" / "page.html").write_text("<p>")
    return module


def release(archiver: ModuleType) -> str:
    return str(archiver.release_of([*archiver.sources(), *archiver.locks()]))


def test_the_name_is_twelve_hexadecimal_digits_and_stable(archiver: ModuleType) -> None:
    assert len(release(archiver)) == 12
    assert int(release(archiver), 16) >= 0
    assert release(archiver) == release(archiver)


@pytest.mark.parametrize(
    "changed",
    ["pyproject.toml", "src/requirements-agent.txt", "src/centralino/__init__.py", "src/centralino/panel/page.html"],
)
def test_any_change_is_a_new_release(archiver: ModuleType, tmp_path: Path, changed: str) -> None:
    before = release(archiver)
    (tmp_path / changed).write_text("changed\n")
    assert release(archiver) != before


def test_a_renamed_file_is_a_new_release(archiver: ModuleType, tmp_path: Path) -> None:
    before = release(archiver)
    (tmp_path / "src/centralino/panel/page.html").rename(tmp_path / "src/centralino/panel/other.html")
    assert release(archiver) != before


@pytest.mark.parametrize(
    "leftover",
    ["src/centralino/__pycache__/x.pyc", "src/centralino/.cache/x", "src/centralino.egg-info/SOURCES.txt", "README.md"],
)
def test_what_tools_leave_behind_is_not(archiver: ModuleType, tmp_path: Path, leftover: str) -> None:
    before = release(archiver)
    (tmp_path / leftover).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / leftover).write_text("x")
    assert release(archiver) == before


def test_the_same_content_packs_to_the_same_bytes(archiver: ModuleType, tmp_path: Path) -> None:
    members = {"b": b"2", "a": b"1"}
    archiver.pack(tmp_path / "one.tar", members)
    archiver.pack(tmp_path / "two.tar", dict(reversed(members.items())))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert [(member.name, member.uid, member.mode) for member in tar] == [("a", 0, 0o644), ("b", 0, 0o644)]
