"""A stage: what it tells of a command that went well, that failed, and that has parts."""

import signal
import subprocess
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


def test_a_command_that_does_not_heed_an_interruption_is_ended_and_that_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        python("import time; time.sleep(60)").start().wait()

    def interrupted(_: stages.Stage, process: subprocess.Popen[str]) -> None:
        begun.append(process)
        raise KeyboardInterrupt

    begun: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(stages, "PATIENCE", 0.1)
    monkeypatch.setattr(stages.Stage, "_watch", interrupted)
    with pytest.raises(SystemExit, match="130"):
        stages.run_to_end(main)
    assert "interrupted; the same command goes on from here" in capsys.readouterr().out
    assert begun[0].wait(10) == -signal.SIGTERM
