"""What the command ``centralino-agent`` tells who gives it by hand."""

from pathlib import Path

import pytest

from centralino.agent import main
from centralino.contract.snapshot import Snapshot


def test_a_folder_that_cannot_be_used_is_told_by_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lock").mkdir()  # as a full or a read-only disk has it, nothing can be written there
    (tmp_path / "snapshot").write_bytes(Snapshot(pbx="pbx01").document())
    (tmp_path / "agent.toml").write_text(
        f'pbx = "pbx01"\nstate = "{tmp_path}"\n[panel]\n'
        'url = "https://web01:8443"\nca = "/nowhere"\ncertificate = "/nowhere"\nkey = "/nowhere"\n'
    )
    words = ["centralino-agent", "--config", str(tmp_path / "agent.toml"), "apply", str(tmp_path / "snapshot")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert f"{tmp_path}/lock: Is a directory: see `df` and `mount`" in capsys.readouterr().err
