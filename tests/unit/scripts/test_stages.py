"""A stage: what it tells of a command that went well, that failed, and that has parts."""

from pathlib import Path

import pytest
import stages


def python(code: str, *, part: str = "") -> stages.Stage:
    return stages.stage("Work", "python", "-c", code, log="test-stages", part=part)


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "CHECKOUT", tmp_path)
    monkeypatch.setattr(stages, "LOGS", tmp_path)


def test_parts_have_their_share_of_the_time() -> None:
    work = python("import time; print('PLAY [one] **'); time.sleep(1); print('PLAY [two] **')", part="PLAY [")
    work.start().wait()
    (one, first), (two, second) = work.parts
    assert (one, two) == ("one", "two")
    assert first > 0.5, "the second part's line came a second after the first's, however late each was read"
    assert first + second <= work.seconds


def test_without_parts_there_are_none() -> None:
    assert python("print('PLAY [one]')").start().wait().parts == []


def test_a_failure_names_the_stage_its_code_and_its_log(tmp_path: Path) -> None:
    with pytest.raises(stages.StageError, match=r"^Work failed \(exit code 3\); .* test-stages\.log"):
        python("print('why'); raise SystemExit(3)").start().wait()
    assert (tmp_path / "test-stages.log").read_text() == "why\n"
