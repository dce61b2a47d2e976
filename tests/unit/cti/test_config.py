"""The configuration file: what is wrong is told with file, line and key, and no secret."""

import subprocess
import sys
from pathlib import Path

import pytest

from centralino.cti.config import ConfigError, load, parse

GOOD = """ca = "/ca.crt"
[listen]
addresses = ["0.0.0.0", "::"]
certificate = "/c.crt"
key = "/c.key"
[clients]
origins = ["https://panel.example.org"]
[panel]
url = "https://web01:8443"
certificate = "/c.crt"
key = "/c.key"
[[server]]
name = "pbx01"
host = "198.18.0.11"
username = "cti"
secret = "s3cret-of-pbx01"
[[server]]
name = "pbx02"
host = "198.18.0.12"
username = "cti"
secret = "s3cret-of-pbx02"
"""


def test_a_good_file() -> None:
    config = parse(GOOD, source="cti.toml")
    assert config.listen.port == 8777
    assert [(s.name, s.port, s.tls_name) for s in config.server] == [("pbx01", 5039, "pbx01"), ("pbx02", 5039, "pbx02")]
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('host = "198.18.0.12"', 'hsot = "198.18.0.12"'), "cti.toml:19: server.2.hsot: unknown key"),
        (('host = "198.18.0.12"\n', ""), "cti.toml:17: server.2.host: missing"),
        (('name = "pbx02"', 'name = "pbx01"'), "cti.toml:18: server.2.name: pbx01 appears twice"),
        (("[clients]", "[clients"), "cti.toml:6: this is no TOML"),
        (('key = "/c.key"\n[clients]', 'key = "/c.key"\nport = 99999\n[clients]'), "cti.toml:6: listen.port: "),
        (("https://web01:8443", "http://web01:8443"), "cti.toml:9: panel.url: "),
        (('"https://panel.example.org"', '"https://panel.example.org/page"'), "cti.toml:7: clients.origins.1: "),
        (('"s3cret-of-pbx02"', '"short"'), "cti.toml:21: server.2.secret: "),
        (('"s3cret-of-pbx02"', '"s3cret-of-pbx02'), "cti.toml:21: this is no TOML"),
        (('username = "cti"', 'username = "cti\\r\\nAction: x"'), "cti.toml:20: server.2.username: "),
        (('certificate = "/c.crt"\nkey = "/c.key"\n[clients]', "[clients]"), "listen: certificate is missing"),
        (('key = "/c.key"\n[clients]', "[clients]"), "cti.toml:2: listen: certificate and key belong together"),
        (('ca = "/ca.crt"', 'colour = "red"'), "cti.toml:1: colour: unknown key"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_a_sentence(change: tuple[str, str], sentence: str) -> None:
    assert change[0] in GOOD
    text = change[1].join(GOOD.rsplit(change[0], 1))
    with pytest.raises(ConfigError) as refusal:
        parse(text, source="cti.toml")
    assert sentence in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("[panel]", "[pannel]"), "cti.toml:8: pannel: unknown key"),
        (GOOD.replace('"cti"', "7"), "cti.toml:15: server.1.username: "),
        (GOOD, "ca: /ca.crt cannot be loaded"),
    ],
)
def test_nothing_starts_with_a_wrong_file(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "cti.toml").write_text(text)
    program = [sys.executable, "-c", "from centralino.cti.main import main; main()", "serve", "cti.toml"]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("centralino-cti: ")
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_file_and_one_of_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe" * 150_000)
    with pytest.raises(ConfigError, match="no UTF-8"):
        load(tmp_path / "odd.toml")
