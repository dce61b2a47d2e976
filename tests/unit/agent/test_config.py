from pathlib import Path

import pytest

from centralino.agent.config import Config, load
from centralino.contract.toml_file import ConfigError

GOOD = """
pbx = "pbx01"
[panel]
url = "https://web01.example.org:8443"
ca = "/etc/centralino/pki/ca.crt"
certificate = "/etc/centralino/pki/pbx01.crt"
key = "/etc/centralino/pki/pbx01.key"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert isinstance(config, Config)
    assert (config.pbx, config.panel.url) == ("pbx01", "https://web01.example.org:8443")
    assert config.asterisk == Path("/etc/asterisk")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('pbx = "pbx01"', ""), "agent.toml: pbx: missing: add it, or run role pbx_agent on this guest"),
        (('pbx = "pbx01"', 'pbx = "PBX 1"'), "agent.toml: pbx: "),
        (
            ("https://web01.example.org:8443", "http://web01"),
            "agent.toml: panel.url: 'http://web01' must be https://name:port",
        ),
        (("https://web01.example.org:8443", "https://web01/agent"), "agent.toml: panel.url: "),
        (("https://web01.example.org:8443", "https://web01:99:1"), "agent.toml: panel.url: "),
        (("key = ", "kee = "), "agent.toml: panel.kee: unknown key"),
        (("[panel]", "[panel"), "agent.toml: is no TOML"),
    ],
)
def test_a_bad_file_is_named_with_key_and_remedy(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, GOOD.replace(*change)))
    assert sentence in str(error.value)


def test_a_missing_file_names_the_role(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent.toml: cannot be read .*: run role pbx_agent on this guest"):
        load(tmp_path / "agent.toml")
