"""The configuration file: what is wrong with it is a sentence with file, key and remedy."""

from pathlib import Path

import pytest

from centralino.panel import config

GOOD = """
hosts = ["panel.example.org"]
secret_key = "0123456789012345678901234567890123456789012345678901234567890"
cti_url = "wss://cti.example.org:8777"
[guests]
pbx02 = "pbx"
pbx01 = "pbx"
cti01 = "cti"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "panel.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD))
    assert loaded.pbxs == ("pbx01", "pbx02")
    assert loaded.database.host == "/run/postgresql"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hosts = [", "cannot be read as TOML"),
        (GOOD + "colour = 1\n", "guests.colour: "),
        ("colour = 1\n" + GOOD, "colour: "),
        (GOOD.replace("wss:", "ws:"), "cti_url: "),
        (GOOD.replace('["panel.example.org"]', "[]"), "hosts: "),
        (GOOD.replace("0123456789", ""), "secret_key: "),
        (GOOD + '[database]\nhost = "db01"\n', "database: "),
    ],
)
def test_a_bad_file_is_a_sentence_and_tells_no_secret(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(config.ConfigError) as refused:
        config.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert sentence in str(refused.value)
    assert "0123456789" not in str(refused.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="there is no such file: run the role panel"):
        config.load(tmp_path / "none.toml")
