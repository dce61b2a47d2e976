"""``centralino phone`` as operators run it: a process, its output, its exit code."""

import re

import pytest
import yaml

from centralino.panel.models import CheckSyncRequest, Phone
from centralino.panel.services import provisioning
from tests.unit.panel.test_command import last_line, run
from tests.unit.phones.samples import MAC

pytestmark = pytest.mark.usefixtures("two_tenants")

ADD = ("phone", "add", "175", "00:15:65:AA:BB:CC", "yealink-t54w", "101/desk")


def test_from_the_box_to_the_next_configuration() -> None:
    assert last_line(run(*ADD)) == "changed=true"
    assert last_line(run(*ADD)) == "changed=false"
    assert last_line(run(*ADD, "--set", "language=it", "--set", "codecs=[alaw, g722]")) == "changed=true"
    listed = run("phone", "list").stdout
    assert re.search(rf"{MAC} +yealink-t54w +175 +101/desk +20", listed)
    assert MAC not in run("phone", "list", "176").stdout
    assert provisioning.by_mac(f"{MAC}.cfg", provisioning.Asker("198.51.100.7")) is not None
    assert "198.51.100.7" in run("phone", "list", "175").stdout
    shown = yaml.safe_load(run("phone", "show", MAC).stdout)
    phone = Phone.objects.get()
    assert shown["folder"] == f"https://panel.test/phones/{phone.folder}/"
    assert shown["admin password"] == phone.admin_password
    assert (shown["settings"]["language"], shown["settings"]["codecs"]) == ("it", ["alaw", "g722"])
    assert last_line(run("phone", "rearm", MAC, "--hours", "1")) == "changed=true"
    assert provisioning.by_mac(f"{MAC}.cfg", provisioning.Asker("198.51.100.7")) is not None
    stolen = run("phone", "rearm", MAC, "--stolen")
    assert last_line(stolen) == "changed=true"
    assert "run `centralino apply` now" in stolen.stdout
    assert Phone.objects.get().folder != phone.folder
    assert last_line(run("phone", "reprovision", MAC)) == "changed=true"
    assert last_line(run("phone", "reprovision", "--tenant", "175", "--reboot")) == "changed=true"
    assert list(CheckSyncRequest.objects.values_list("pbx", "reboot")) == [("pbx01", False), ("pbx01", True)]
    assert last_line(run("phone", "remove", MAC)) == "changed=true"
    assert not Phone.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["phone", "add", "175", "00:15:65", "generic", "101/desk"], "mac: "),
        (["phone", "add", "175", MAC, "generic", "101"], "devices.0: "),
        (["phone", "add", "175", MAC, "generic", "101/none"], "tenant 175 has no device 101/none"),
        (["phone", "add", "175", MAC, "yealink-t99", "101/desk"], "'yealink-t99' is no model of a phone"),
        (["phone", "add", "175", MAC, "generic", "101/desk", "--set", "colour=red"], "settings.colour: "),
        (["phone", "add", "175", MAC, "generic", "101/desk", "--set", "language"], "--set language: write NAME=VALUE"),
        (["phone", "add", "175", MAC, "generic", "101/desk", "--set", "vlan=["], "the value cannot be read"),
        (["phone", "show", MAC], f"phone {MAC}: there is none: see `centralino phone list`"),
        (["phone", "rearm", "nonsense"], "phone nonsense: there is none"),
        (["phone", "remove", MAC], f"phone {MAC}: there is none"),
        (["phone", "reprovision"], "name phones by their MAC, or a whole tenant with --tenant"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Phone.objects.exists()
