"""The ``centralino`` command as playbooks and operators run it: a process, its output, its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from centralino.panel.models import Tenant, User
from tests.unit.panel.samples import PASSWORD, tenant_data

pytestmark = pytest.mark.usefixtures("empty")


def run(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from centralino.panel.cli import main; main()", *arguments]
    return subprocess.run(
        program,
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        env=os.environ | environment,
        timeout=60,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_from_a_file_to_a_publication(tmp_path: Path) -> None:
    path = tmp_path / "175.yml"
    path.write_text(yaml.safe_dump(tenant_data()))
    assert last_line(run("tenant", "import", str(path))) == "changed=true"
    assert last_line(run("tenant", "import", "-", given=path.read_text())) == "changed=false"
    assert "Company 175" in run("tenant", "list").stdout
    assert "anna@175.example" in run("tenant", "show", "175").stdout
    credentials = json.loads(run("device", "credentials", "175").stdout)
    assert set(credentials) == {"101", "102"}
    assert set(credentials["102"][0]) == {"name", "endpoint", "secret", "transport"}
    assert last_line(run("user", "password", "anna@175.example", given=PASSWORD + "\n")) == "changed=true"
    assert last_line(run("user", "password", "anna@175.example", given=PASSWORD)) == "changed=false"
    assert User.objects.get(login="anna@175.example").check_password(PASSWORD)
    assert last_line(run("apply", "--pbx", "pbx01")) == "changed=true"
    assert last_line(run("apply", "--pbx", "pbx01")) == "changed=false"


def test_names_are_shown_as_they_are() -> None:
    extensions = [{"number": "101", "name": "Sala [bold]1[/x] :phone:"}]
    file = yaml.safe_dump(tenant_data(name="Rossi [/]", extensions=extensions))
    assert "Sala [bold]1[/x] :phone:" in run("tenant", "import", "-", given=file).stdout
    assert "Rossi [/]" in run("tenant", "list").stdout
    shown = run("tenant", "show", "175").stdout
    assert "Rossi [/]" in shown
    assert "Sala [bold]1[/x] :phone:" in shown
    run("ban", "add", "203.0.113.7", "--reason", "calls [/at] night")
    assert "calls [/at] night" in run("ban", "list").stdout


def test_several_files_at_once(tmp_path: Path) -> None:
    files = {f"{tenant}.yml": yaml.safe_dump(tenant_data(tenant)) for tenant in (175, 176)}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert last_line(run("tenant", "import", *(str(tmp_path / name) for name in files))) == "changed=true"
    again = run("tenant", "import", "--json", "-", given=json.dumps(files))
    assert again.stdout.splitlines() == ["tenant 175: unchanged", "tenant 176: unchanged", "changed=false"]


def test_a_first_password_leaves_a_chosen_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "175.yml"
    path.write_text(yaml.safe_dump(tenant_data()))
    run("tenant", "import", str(path))
    first = json.dumps({"anna@175.example": PASSWORD})
    assert last_line(run("user", "first-passwords", given=first)) == "changed=true"
    assert User.objects.get(login="anna@175.example").check_password(PASSWORD)
    run("user", "password", "anna@175.example", given="what Anna chose herself")
    assert last_line(run("user", "first-passwords", given=first)) == "changed=false"
    assert User.objects.get(login="anna@175.example").check_password("what Anna chose herself")


def test_a_password_in_another_encoding_is_a_sentence() -> None:
    run("user", "operator", "ops")
    for login, password in (("ops", "p\udce4sswords of old files\n"), ("\udcf6ps", PASSWORD)):
        done = run("user", "password", login, given=password)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "is no UTF-8 text" in done.stderr


def test_an_apply_that_nobody_answers_fails_with_a_sentence() -> None:
    done = run("apply", "--pbx", "pbx01", "--wait", "0.3")
    assert done.returncode == 1
    assert "pbx01: no answer within 0.3 s: see `journalctl -u centralino-agent` on pbx01" in done.stderr
    assert done.stdout.splitlines()[-1] == "changed=true"


@pytest.mark.parametrize(
    ("arguments", "given", "sentence"),
    [
        (["tenant", "import", "/nowhere.yml"], "", "/nowhere.yml: there is no such file"),
        (["tenant", "import", "/"], "", "/: cannot be read"),
        (["tenant", "import", "-"], "x" * 300_000, "standard input: this file is larger than 256 KiB"),
        (["tenant", "import", "-"], "id: [", "standard input: line 1: this cannot be read as YAML"),
        (["tenant", "import", "--json", "-"], "id: 175", "standard input: this is no JSON object of files by name"),
        (
            ["tenant", "import", "--json", "-"],
            json.dumps({"8.yml": yaml.safe_dump(tenant_data()), "9.yml": "id: ["}),
            "9.yml: line 1: this cannot be read as YAML",
        ),
        (
            ["tenant", "import", "--json", "-"],
            json.dumps(
                {"8.yml": yaml.safe_dump(tenant_data()), "9.yml": yaml.safe_dump(tenant_data(176, pbx="pbx77"))}
            ),
            "9.yml: pbx: this cluster has no PBX 'pbx77'",
        ),
        (["tenant", "import", "-"], yaml.safe_dump(tenant_data(pbx="pbx77")), "this cluster has no PBX 'pbx77'"),
        (["tenant", "show", "9"], "", "tenant 9: there is none"),
        (["device", "credentials", "9"], "", "tenant 9: there is none"),
        (["user", "password", "nobody"], PASSWORD, "login nobody: there is none"),
        (["user", "first-passwords"], "nobody", "this is no JSON object of passwords by login"),
        (["user", "first-passwords"], '{"nobody": "x"}', "login nobody: there is none"),
        (["user", "password", "nobody"], "", "give the password on standard input"),
        (["apply", "--pbx", "cti01"], "", "this cluster has no PBX 'cti01'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], given: str, sentence: str) -> None:
    done = run(*arguments, given=given)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not Tenant.objects.exists()


def test_a_missing_configuration_or_database_is_a_sentence(tmp_path: Path) -> None:
    missing = run("tenant", "list", CENTRALINO_PANEL_CONFIG=str(tmp_path / "none.toml"))
    assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)
    assert "run the role panel" in missing.stderr
    elsewhere = tmp_path / "panel.toml"
    text = Path(os.environ["CENTRALINO_PANEL_CONFIG"]).read_text()
    elsewhere.write_text(text.replace("/postgresql", "/nowhere"))
    down = run("tenant", "list", CENTRALINO_PANEL_CONFIG=str(elsewhere))
    assert (down.returncode, len(down.stderr.splitlines())) == (1, 1)
    assert "the database refuses or does not answer" in down.stderr


def test_tables_and_settings_are_complete() -> None:
    assert last_line(run("migrate")) == "changed=false"
    assert last_line(run("static")) == "changed=false"
    assert run("check").returncode == 0
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
