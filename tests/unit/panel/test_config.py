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

PHONES = """
[phones]
url = "https://panel.example.org/phones/"
[phones.servers]
pbx01 = "pbx01.example.org"
pbx02 = "192.0.2.2"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "panel.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD))
    assert loaded.pbxs == ("pbx01", "pbx02")
    assert loaded.database.host == "/run/postgresql"
    assert loaded.phones is None
    with_phones = config.load(write(tmp_path, GOOD + PHONES)).phones
    assert with_phones is not None
    assert (with_phones.tls_port, with_phones.armed_hours) == (5061, 24)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("phones.example.org", "phones.example.org"),
        ("phones.example.org:8444", "phones.example.org"),
        ("[::1]", "[::1]"),
    ],
)
def test_phones_reach_the_panel_by_the_address_that_they_are_told(tmp_path: Path, address: str, host: str) -> None:
    loaded = config.load(write(tmp_path, GOOD + PHONES.replace("panel.example.org", address)))
    assert loaded.all_hosts == ("panel.example.org", host)
    assert config.load(write(tmp_path, GOOD)).all_hosts == ("panel.example.org",)


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
        (GOOD + PHONES.replace("https", "http"), "phones.url: "),
        (GOOD + PHONES.replace('pbx02 = "192.0.2.2"', ""), "phones.servers does not say how phones reach pbx02"),
        (GOOD + PHONES + '[phones.defaults.settings]\nlanguage = "xx"\n', "phones.defaults.settings.language: "),
        (GOOD + PHONES + "[phones.defaults.models.nokia-3310]\n", "'nokia-3310' is no model of a phone"),
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
