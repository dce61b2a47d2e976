from pathlib import Path

import pytest

from centralino.agent import candidate
from centralino.agent.candidate import finding, lay_out, own_settings
from centralino.asterisk.cli import AsteriskError
from centralino.asterisk.render import NOTHING

LIVE = """
[directories]
astetcdir => /etc/asterisk
astdatadir => /usr/share/asterisk ; sounds
astrundir => /run/asterisk
[options]
systemname = pbx01 ; in every call's id
runuser = asterisk
rungroup = asterisk
highpriority = yes
nocolor = yes
[files]
astctlpermissions = 0660
"""


def test_a_trial_has_its_own_directories_and_the_live_ones_options() -> None:
    text = own_settings(LIVE, Path("/state/candidate"))
    assert "astetcdir => /state/candidate/etc\n" in text
    assert "astrundir => /state/candidate/run\n" in text
    assert "astdatadir => /usr/share/asterisk\n" in text
    assert "systemname = pbx01\nnocolor = yes\n" in text
    for word in ("/run/asterisk", "/etc/asterisk", "runuser", "highpriority", "astctlpermissions"):
        assert word not in text


def test_directories_that_are_a_template_are_not_taken() -> None:
    text = own_settings("[directories](!)\nastdatadir => /nowhere\n", Path("/state"))
    assert "/nowhere" not in text


def test_a_trial_reads_the_live_files_and_another_release(tmp_path: Path) -> None:
    live, release, directory = tmp_path / "live", tmp_path / "release", tmp_path / "candidate"
    live.mkdir()
    release.mkdir()
    (live / "asterisk.conf").write_text(LIVE)
    (live / "logger.conf").write_text("[logfiles]\n")
    (live / "pjsip.conf").write_text("; live\n")
    (live / "release").symlink_to("elsewhere")
    for _ in range(2):  # the second finds the first's directory
        settings = lay_out(release, live, directory)
    etc = directory / "etc"
    assert settings == etc / "asterisk.conf"
    assert (etc / "pjsip.conf").resolve() == live / "pjsip.conf"
    assert (etc / "release").resolve() == release
    assert "candidate.log" in (etc / "logger.conf").read_text()
    assert (live / "logger.conf").read_text() == "[logfiles]\n"
    assert (live / "asterisk.conf").read_text() == LIVE


def trial(directory: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> str:
    """Return what is found where a shell's program is what boots, and no Asterisk answers."""
    live, release = directory / "live", directory / "release"
    live.mkdir()
    release.mkdir()
    (live / "asterisk.conf").write_text(LIVE)
    monkeypatch.setattr(candidate, "_BOOT_SECONDS", 0.5)
    monkeypatch.setattr(candidate, "_ISOLATED", ("sh", "-c", program))
    return finding(release, NOTHING, live=live, directory=directory / "candidate")


def test_a_trial_that_is_not_ready_in_time_finds_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AsteriskError, match="not ready after"):
        trial(tmp_path, monkeypatch, "exec sleep 60")


def test_a_trial_that_ends_is_found_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ended at once: no memory" in trial(tmp_path, monkeypatch, "echo no memory")
