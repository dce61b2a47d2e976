"""Phones show their vendors' certificates: the right one, another's, a foreign one, none, a forged header."""

import json
import os
import re
import shlex
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from scenario_fixtures import Converge, apply_role
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parent))
from vendor import Vendor

Ask = Callable[..., tuple[int, str]]

NAME, PORT = "phones.example.com", 8444
AUTHORITY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki" / "ca.crt"
GUEST = "molecule-panel-phones"
MAC, OTHER = "001565aabb11", "001565aabb12"
TENANT = f"""
id: 176
name: Studio Legale Bianchi
pbx: {GUEST}
extensions:
  - {{number: "201", name: Reception, devices: [{{name: desk}}]}}
"""


def subject(mac: str) -> str:
    """Return the subject of a phone's certificate, as Yealink's colons write it."""
    return "/O=Yealink/CN=" + ":".join(re.findall("..", mac.upper()))


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """Return the vendor whose authority is in the inventory."""
    return Vendor(tmp_path_factory.mktemp("vendor"), "Vendor")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """Return one whose authority is not."""
    return Vendor(tmp_path_factory.mktemp("foreign"), "Foreign")


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """Return somebody who made an authority of the vendor's name."""
    return Vendor(tmp_path_factory.mktemp("impostor"), "Vendor")


@pytest.fixture(scope="module")
def phone(host: Host) -> Iterator[dict[str, Any]]:
    """Return a phone as ``phone show`` tells it, with its device's secret."""
    host.check_output(f"centralino tenant import - <<'END'\n{TENANT}\nEND")
    host.run("centralino phone remove %s", MAC)
    host.check_output("centralino phone add 176 %s yealink-t54w 201/desk", MAC)
    shown = yaml.safe_load(host.check_output("centralino phone show %s", MAC))
    secret = json.loads(host.check_output("centralino device credentials 176"))["201"][0]["secret"]
    yield {"folder": shown["folder"], "secret": secret}
    host.check_output("centralino phone remove %s", MAC)


@pytest.fixture
def armed(host: Host, phone: dict[str, Any]) -> dict[str, Any]:
    """Return the phone, armed."""
    host.check_output("centralino phone rearm %s", MAC)
    return phone


@pytest.fixture
def ask(controller: Host, address: str) -> Ask:
    """Return curl from outside; it answers status and content."""

    def curl(path: str, *options: str, port: int = PORT) -> tuple[int, str]:
        reach = ("--cacert", str(AUTHORITY), "--resolve", f"{NAME}:{port}:{address}")
        words = (
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--path-as-is",
            "--write-out",
            "\n%{http_code}",
        )
        said = controller.check_output(shlex.join((*words, *reach, *options, f"https://{NAME}:{port}{path}")))
        content, _, status = said.rpartition("\n")
        return int(status), content

    return curl


def wanted(authorities: Path, how: str) -> dict[str, str]:
    """Return the variables that have phones show certificates of these authorities."""
    return {
        "panel_phones_vendor_ca": str(authorities),
        "panel_phones_vendor_certificate": how,
        "panel_phones_url": f"https://{NAME}:{PORT}/phones/",
    }


def applied(converge: Converge, variables: dict[str, str]) -> str:
    """Apply the panel's role and then nginx's, as the play does; return what Ansible said."""
    return "".join(converge(role_under_test=role, **variables) for role in ("panel", "nginx"))


@pytest.fixture(scope="module")
def restored(host: Host, converge: Converge) -> Iterator[None]:
    """Ask phones for no certificate again at the end."""
    yield
    applied(converge, {})
    host.check_output("rm -r /etc/nginx/client-ca")


@pytest.fixture(scope="module")
def accepted(restored: None, converge: Converge, vendor: Vendor) -> None:
    """Have phones show their certificates if they like."""
    del restored
    for role in ("panel", "nginx"):
        variables = json.dumps({"role_under_test": role, **wanted(vendor.bundle, "accepted")})
        dry = apply_role("--check", "--diff", "--extra-vars", variables)
        assert dry.returncode == 0, dry.stdout + dry.stderr
    applied(converge, wanted(vendor.bundle, "accepted"))


@pytest.fixture(scope="module")
def required(accepted: None, converge: Converge, vendor: Vendor) -> None:
    """Give nothing to a phone that shows none."""
    del accepted
    applied(converge, wanted(vendor.bundle, "required"))


@pytest.fixture
def bundle(vendor: Vendor, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a file of authorities that cannot be used."""

    def make(what: str) -> Path:
        good = vendor.bundle.read_text(encoding="ascii")
        contents = {"words": "the vendor's authority\n", "broken": good.replace("MII", "XII")}
        path = tmp_path / f"{what}.pem"
        if what != "nothing":
            path.write_text(contents.get(what) or good + vendor.expired(), encoding="ascii")
        return path

    return make


@pytest.fixture
def running(host: Host) -> Callable[[], str]:
    """Return a function that tells what nginx and the panel run on, and by which processes nginx does."""
    files = "/etc/nginx/nginx.conf /etc/nginx/client-ca/*.pem /etc/centralino/panel.toml"
    # Those of an earlier configuration end when their clients do.
    processes = "ps --no-headers -o pid,args -C nginx | grep -v 'shutting down'"
    return lambda: str(host.check_output(f"sha256sum {files}; {processes}"))


def refusals(host: Host) -> list[str]:
    """Return what was refused lately, which a ban counts."""
    said = host.check_output("journalctl --unit centralino-panel --output cat --no-pager --since -1min")
    return re.findall(r"phone refused: address=\S+ (.*)$", said, re.MULTILINE)


FILE = f"/phones/{MAC}.cfg"
FORGED = [
    f"X-Client-Subject: CN={MAC}",
    f"x-client-subject: CN={MAC}",
    f"X_Client_Subject: CN={MAC}",
    f"X-Client-Name: {MAC}",
]
FORGERY = tuple(word for header in FORGED for word in ("--header", header))
MAY = pytest.mark.usefixtures("accepted")
MUST = pytest.mark.usefixtures("required")


@MAY
def test_where_accepted_its_own_gets_its_secrets_once(armed: dict[str, Any], ask: Ask, vendor: Vendor) -> None:
    own = vendor.phone(subject(MAC))
    status, content = ask(FILE, *own)
    assert status == 200
    assert armed["secret"] in content
    assert f"https://{NAME}:{PORT}/phones/" in content
    assert ask(FILE, *own)[0] == 404


@MAY
def test_where_accepted_its_folder_shows_it_no_secret(phone: dict[str, Any], ask: Ask, vendor: Vendor) -> None:
    status, content = ask(f"/phones/{Path(phone['folder']).name}/{MAC}.cfg", *vendor.phone(subject(MAC)))
    assert (status, phone["secret"] in content) == (200, False)


@MAY
def test_where_accepted_another_phones_is_refused_counted_and_uses_nothing_up(
    host: Host, armed: dict[str, Any], ask: Ask, vendor: Vendor
) -> None:
    other = vendor.phone(subject(OTHER))
    for path in (FILE, f"/phones/{Path(armed['folder']).name}/{MAC}.cfg"):
        assert ask(path, *other) == (404, "not found\n")
    assert refusals(host)[-2:] == [f"mac={MAC} certificate={OTHER}"] * 2
    assert armed["secret"] in ask(FILE, *vendor.phone(subject(MAC)))[1]


@MAY
@pytest.mark.usefixtures("armed")
def test_where_accepted_a_forged_header_does_not_help_another_phone(ask: Ask, vendor: Vendor) -> None:
    assert ask(FILE, *FORGERY, *vendor.phone(subject(OTHER)))[0] == 404


@MAY
def test_where_accepted_none_is_served(armed: dict[str, Any], ask: Ask) -> None:
    assert armed["secret"] in ask(FILE)[1]


@MAY
def test_where_accepted_a_foreign_one_is_as_good_as_none(armed: dict[str, Any], ask: Ask, foreign: Vendor) -> None:
    assert armed["secret"] in ask(FILE, *foreign.phone(subject(OTHER)))[1]


@MAY
@pytest.mark.usefixtures("armed")
def test_where_accepted_one_that_is_not_what_it_says_is_refused(ask: Ask, vendor: Vendor, impostor: Vendor) -> None:
    assert ask(FILE, *impostor.phone(subject(MAC)))[0] == 400
    assert ask(FILE, *vendor.phone(subject(MAC), "-days", "0"))[0] == 400, "it has expired"


@MAY
@pytest.mark.usefixtures("armed")
def test_where_accepted_a_signature_by_sha1_is_refused(address: str, vendor: Vendor) -> None:
    _, certificate, _, key = vendor.phone(subject(MAC), "-sha1")
    tls = ssl.create_default_context(cafile=str(AUTHORITY))
    tls.set_ciphers("DEFAULT@SECLEVEL=0")  # or the client would not show it
    tls.load_cert_chain(certificate, key)
    assert httpx.get(f"https://{address}:{PORT}{FILE}", verify=tls).status_code == 400


@MAY
def test_where_accepted_phones_that_know_the_former_address_go_on(armed: dict[str, Any], ask: Ask) -> None:
    assert armed["secret"] in ask(FILE, "--header", f"X-Client-Subject: CN={OTHER}", port=443)[1]


@MAY
@pytest.mark.parametrize("path", ["/agent/v1/snapshot", "/phones/../agent/v1/snapshot", "/login", "/"])
def test_where_accepted_there_is_nothing_but_files(path: str, ask: Ask, vendor: Vendor) -> None:
    assert ask(path, *vendor.phone(f"/CN={GUEST}"))[0] == 404


@MAY
def test_where_accepted_browsers_are_not_asked(controller: Host, address: str) -> None:
    def names(port: int) -> str:
        return str(
            controller.check_output(f"openssl s_client -connect {address}:{port} -servername {NAME} </dev/null 2>&1")
        )

    assert "No client certificate CA names sent" in names(443)
    assert "Vendor Issuing" in names(PORT)


@MUST
def test_where_required_its_own_gets_its_secrets_once(armed: dict[str, Any], ask: Ask, vendor: Vendor) -> None:
    own = vendor.phone(subject(MAC))
    assert armed["secret"] in ask(FILE, *own)[1]
    assert ask(FILE, *own)[0] == 404


@MUST
@pytest.mark.usefixtures("armed")
def test_where_required_nobody_else_gets_anything(ask: Ask, vendor: Vendor, foreign: Vendor, impostor: Vendor) -> None:
    assert ask(FILE, *vendor.phone(subject(OTHER))) == (404, "not found\n")
    assert ask(FILE, *vendor.phone("/O=Yealink/CN=Generic")) == (404, "not found\n")
    assert ask(FILE)[0] == 400
    assert ask(FILE, *FORGERY)[0] == 400
    assert ask(FILE, *FORGERY, *foreign.phone(subject(MAC)))[0] == 400
    assert ask(FILE, *FORGERY, *impostor.phone(subject(MAC)))[0] == 400
    assert ask(FILE, *FORGERY, port=443) == (404, "not found\n")
    assert ask(FILE, *FORGERY, *vendor.phone(subject(MAC)), port=443) == (404, "not found\n")


@MUST
def test_where_required_what_has_no_certificate_is_said_and_not_counted(host: Host, ask: Ask) -> None:
    counted = len(refusals(host))
    ask(FILE, port=443)
    assert len(refusals(host)) <= counted
    assert f"mac={MAC} subject=''" in host.check_output(
        "journalctl --unit centralino-panel --output cat --no-pager --since -1min"
    )


@MUST
def test_where_required_a_browsers_session_opens_nothing(controller: Host, address: str, tmp_path: Path) -> None:
    command = f"openssl s_client -servername {NAME} -tls1_2 -connect {address}"
    taken = controller.check_output(f"{command}:443 -sess_out {tmp_path}/session </dev/null 2>&1")
    assert "New, TLSv1.2" in taken
    again = controller.check_output(f"{command}:443 -sess_in {tmp_path}/session </dev/null 2>&1")
    assert "Reused, TLSv1.2" in again, "the session is one that can be taken up"
    assert "New, TLSv1.2" in controller.check_output(f"{command}:{PORT} -sess_in {tmp_path}/session </dev/null 2>&1")


@MUST
def test_a_second_run_changes_nothing(converge: Converge, vendor: Vendor) -> None:
    assert re.findall(r"changed=(\d+)", applied(converge, wanted(vendor.bundle, "required"))) == ["0", "0"]


@MUST
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("nothing", "cannot be read or has no certificate"),
        ("words", "cannot be read or has no certificate"),
        ("broken", "has what is no certificate"),
        ("expired", "has what has expired (Old Root)"),
    ],
)
def test_a_bad_bundle_changes_nothing(
    what: str, sentence: str, bundle: Callable[[str], Path], running: Callable[[], str], converge: Converge
) -> None:
    before = running()
    path = bundle(what)
    variables = wanted(path, "required")
    said = " ".join(converge(fails=True, **variables).split())
    assert f"panel_phones_vendor_ca, {path}, {sentence}: put there the vendors' certificates" in said
    if what != "expired":  # whoever hands nginx's role a file that is none
        converge(fails=True, role_under_test="nginx", **variables)
    assert running() == before


@MUST
def test_an_address_that_leads_elsewhere_is_refused(converge: Converge, vendor: Vendor) -> None:
    said = " ".join(converge(fails=True, panel_phones_vendor_ca=str(vendor.bundle)).split())
    assert "https://name:8444/phones/" in said
