"""scripts/amiws-import: a configuration of amiws becomes the variables of role cti, or is refused by key."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "amiws-import"
GOOD = """
ws_port: 8777
web_root: /var/www
amihosts:
  - {name: pbx02, host: 198.18.0.12, username: cti, secret: s3cret-of-pbx02, port: 5039, id: 2}
  - {name: pbx01, host: 198.18.0.11, username: cti, secret: s3cret-of-pbx01, id: 1, event_names: [Hangup]}
"""


def imported(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "amiws.yml").write_text(text)
    return subprocess.run(
        [sys.executable, SCRIPT, "amiws.yml"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_good_file(tmp_path: Path) -> None:
    ended = imported(tmp_path, GOOD)
    assert ended.returncode == 0
    written = yaml.safe_load(ended.stdout)
    assert written["cti_port"] == 8777
    # In the order of their ids, which is the order of `server_id`.
    assert [tuple(server.values()) for server in written["cti_servers"]] == [
        ("pbx01", "198.18.0.11", 5039, "cti", "s3cret-of-pbx01"),
        ("pbx02", "198.18.0.12", 5039, "cti", "s3cret-of-pbx02"),
    ]
    for told in ("web_root: left out", "amihosts.2.event_names: left out", "amihosts.2.port: 5038 is without TLS"):
        assert f"amiws.yml: {told}" in ended.stderr
    assert "s3cret" not in ended.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("amihosts:", "hosts:"), "amiws.yml: amihosts: no list of servers"),
        (("name: pbx01", "name: The first"), "amiws.yml: amihosts.2.name: "),
        (("secret: s3cret-of-pbx01", "secret: x"), "amiws.yml: amihosts.2.secret: "),
        ((", username: cti, secret: s3cret-of-pbx01", ", secret: s3cret-of-pbx01"), "amihosts.2.username: "),
        (("id: 2", "id: 7"), "amihosts: id: `server_id` counts"),
        (("id: 2", "id: two"), "amihosts: id: `server_id` counts"),
        (("id: 2", "id: [2]"), "amihosts: id: `server_id` counts"),
        (("id: 2", "id: 1"), "amihosts: id: `server_id` counts"),
        (("web_root", "webroot"), "amiws.yml: webroot: unknown key"),
        (("id: 1", "colour: red"), "amihosts.2.colour: unknown key"),
        (("{name: pbx02", "{name: [pbx02"), "amiws.yml:5: this is no YAML"),
        (("  - {name: pbx02", "  - pbx09\n  - {name: pbx02"), "amihosts.1: no server"),
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    assert change[0] in GOOD
    ended = imported(tmp_path, GOOD.replace(*change))
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr
