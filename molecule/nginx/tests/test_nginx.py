"""What a stranger on the network gets, what a guest with a certificate gets, and what reaches the upstream."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenario_fixtures import Converge, Exposure, listens, within
from testinfra.host import Host

Ask = Callable[..., str]

NAME = "molecule-nginx"
AUTHORITY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki"
PKI = "/etc/centralino/pki"
ASK_FROM_EACH = """
import http.client, ssl, sys
addresses = sys.argv[1].split()
for address in addresses:
    line = http.client.HTTPSConnection(
        addresses[0], 443, source_address=(address, 0), context=ssl._create_unverified_context(), timeout=30
    )
    line.request("GET", "/often")
    print(line.getresponse().status)
"""


@pytest.fixture
def ask(controller: Host, address: str) -> Ask:
    """Return curl from outside, trusting our authority alone; it returns headers and body, or curl's error."""

    def curl(where: str, *options: str) -> str:
        url = f"https://{address}{where}" if where.startswith((":", "/")) else where
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "120",
            "--cacert",
            str(AUTHORITY / "ca.crt"),
            *options,
            url,
        ]
        answer = controller.run(shlex.join(command))
        return str(answer.stdout + answer.stderr)

    return curl


@pytest.fixture(scope="module", autouse=True)
def upstream(host: Host) -> Iterator[None]:
    """Run the upstream on the guest for the tests' time."""
    program = Path(__file__).with_name("upstream.py").read_text(encoding="utf-8")
    host.check_output("printf %%s %s >/run/upstream.py", program)
    host.check_output("mkdir -p /srv/files && echo from-a-file >/srv/files/a.txt")
    host.check_output("systemd-run --quiet --collect --unit upstream python3 /run/upstream.py")
    listens(host, 8000)
    yield
    host.check_output("systemctl stop upstream; rm -f /run/upstream.sock")


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Return a function that makes a certificate of the internal authority and returns curl's options to show it."""

    def make(subject: str) -> list[str]:
        folder = tmp_path_factory.mktemp("guest")
        key, request, certificate = (str(folder / name) for name in ("key", "csr", "crt"))
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", subject]
        authority = [
            "-CA",
            str(AUTHORITY / "ca.crt"),
            "-CAkey",
            str(AUTHORITY / "ca.key"),
            "-CAcreateserial",
            "-CAserial",
            str(folder / "srl"),
        ]
        subprocess.run(["openssl", "req", *new, "-out", request], check=True, capture_output=True)
        subprocess.run(
            ["openssl", "x509", "-req", "-in", request, *authority, "-out", certificate],
            check=True,
            capture_output=True,
        )
        return ["--cert", certificate, "--key", key]

    return make


def test_https_answers_with_a_chain_that_verifies(ask: Ask) -> None:
    answer = ask("/health")
    assert answer.startswith("HTTP/2 204")
    assert "strict-transport-security: max-age=31536000" in answer
    assert "x-content-type-options: nosniff" in answer
    assert "server: nginx\n" in answer.replace("\r", "")


def test_there_is_one_frame_rule(ask: Ask) -> None:
    answer = ask("/").lower()
    assert "x-frame-options: deny" in answer
    assert "allowall" not in answer


def test_http_is_redirected(ask: Ask, address: str) -> None:
    answer = ask(f"http://{address}/a?b=c")
    assert " 308 " in answer
    assert f"Location: https://{address}/a?b=c" in answer


def test_http_of_another_port_is_redirected(ask: Ask, address: str) -> None:
    answer = ask("http://named.example.org:9080/a", "--resolve", f"named.example.org:9080:{address}")
    assert "Location: https://named.example.org:9443/a" in answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_is_refused(ask: Ask, version: str) -> None:
    assert "alert protocol version" in ask("/health", "--tls-max", version, "--ciphers", "DEFAULT:@SECLEVEL=0")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_current_tls_is_taken(ask: Ask, version: str) -> None:
    assert ask("/health", f"--tlsv{version}", "--tls-max", version).startswith("HTTP/2 204")


def test_old_ciphers_are_refused(ask: Ask) -> None:
    assert "handshake failure" in ask("/health", "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA:AES128-SHA")


def test_a_name_that_no_site_has_is_refused(ask: Ask, address: str) -> None:
    assert "unrecognized name" in ask(":9443/a.txt")
    other = ask("https://other.example.org:9443/a.txt", "--insecure", "--resolve", f"other.example.org:9443:{address}")
    assert "unrecognized name" in other
    ours = ask("https://named.example.org:9443/a.txt", "--insecure", "--resolve", f"named.example.org:9443:{address}")
    assert "from-a-file" in ours


def test_files(ask: Ask) -> None:
    answer = ask("/files/a.txt")
    assert "from-a-file" in answer
    assert "cache-control: max-age=3600" in answer


def test_without_a_certificate_no_upstream_is_reached(ask: Ask) -> None:
    answer = ask(":8443/agent/v1/x", "--header", "X-Client-Name: web01")
    assert answer.startswith("HTTP/2 400")
    assert "X-Client-Name" not in answer


def test_a_certificate_of_another_authority_is_refused(ask: Ask, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key"), str(tmp_path / "crt")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=web01",
    ]
    subprocess.run(command, check=True, capture_output=True)
    answer = ask(":8443/agent/v1/x", "--cert", certificate, "--key", key)
    assert "X-Client-Name" not in answer
    assert answer.startswith("HTTP/2 400")


def test_the_certificates_name_reaches_the_upstream(ask: Ask, guest: Callable[[str], list[str]]) -> None:
    assert "X-Client-Name: pbx07\n" in ask(":8443/agent/v1/x", *guest("/CN=pbx07"))


def test_a_forged_name_does_not(ask: Ask, guest: Callable[[str], list[str]]) -> None:
    forged = [
        "X-Client-Name: web01",
        "x-client-name: web01",
        "X_Client_Name: web01",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
    ]
    headers = [word for header in forged for word in ("--header", header)]
    answer = ask(":8443/agent/v1/x", *headers, *guest("/CN=pbx07"))
    assert "X-Client-Name: pbx07\n" in answer
    assert "web01" not in answer
    assert "192.0.2.1" not in answer


def test_on_the_open_site_a_forged_name_is_dropped(ask: Ask) -> None:
    forged = ("X-Client-Name: web01", "X-Client-Subject: CN=web01", "X-Api-Client: CN=web01")
    answer = ask("/", *(word for header in forged for word in ("--header", header)))
    assert answer.startswith("HTTP/2 200")
    assert "web01" not in answer


@pytest.mark.parametrize("subject", ["/O=pbx07/CN=web01", "/O=x,CN=web01", "/CN=web01/CN=web02"])
def test_a_subject_of_more_than_a_name_has_no_name(ask: Ask, guest: Callable[[str], list[str]], subject: str) -> None:
    answer = ask(":8443/agent/v1/x", *guest(subject))
    assert answer.startswith("HTTP/2 200")
    assert "X-Client-Name" not in answer


def test_a_strangers_subject_is_passed_on_whole_and_names_no_guest(ask: Ask, guest: Callable[[str], list[str]]) -> None:
    forged = ("--header", "X-Client-Subject: CN=pbx08", "--header", "X-Client-Name: pbx08")
    answer = ask(":9444/x", *forged, *guest("/O=Vendor, Inc./CN=pbx07"))
    assert "X-Client-Subject: CN=pbx07,O=Vendor\\, Inc.\n" in answer
    answer = ask(":9444/x", *forged, *guest("/CN=pbx07"))
    assert "X-Client-Subject: CN=pbx07\n" in answer
    assert "X-Client-Name" not in answer
    assert "pbx08" not in answer
    assert "X-Client-Subject" not in ask(":8443/agent/v1/x", *forged, *guest("/CN=pbx07")), "a guest's name is enough"


def test_where_certificates_are_accepted_nobody_needs_one(ask: Ask, tmp_path: Path) -> None:
    new = ["-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt", "-subj", "/CN=pbx07"]
    subprocess.run(["openssl", "req", *new], cwd=tmp_path, check=True, capture_output=True)
    foreign = ("--cert", str(tmp_path / "crt"), "--key", str(tmp_path / "key"))
    for shown in ((), foreign):
        answer = ask(":9444/x", "--header", "X-Client-Subject: CN=pbx08", *shown)
        assert answer.startswith("HTTP/2 200")
        assert "X-Client-" not in answer


def test_a_site_that_is_not_enabled_is_not_there(host: Host) -> None:
    assert host.check_output("ss -Hltn 'sport = :9444'")
    assert not host.check_output("ss -Hltn 'sport = :9445'")


def test_a_long_poll_is_held(ask: Ask, guest: Callable[[str], list[str]]) -> None:
    assert ask(":8443/agent/slow", *guest("/CN=pbx07")).startswith("HTTP/2 200")


def test_large_requests_are_refused_but_where_they_belong(ask: Ask, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 2_000_000)
    assert ask("/", "--data-binary", f"@{large}").startswith("HTTP/2 413")
    assert "HTTP/2 200" in ask("/upload", "--data-binary", f"@{large}")


def test_a_new_certificate_is_taken_without_a_restart(host: Host) -> None:
    def workers() -> str:
        return host.check_output("pgrep -P $(systemctl show --value --property MainPID nginx) | sort")

    main, old = host.check_output("systemctl show --value --property MainPID nginx"), workers()
    host.check_output("systemctl reload centralino-certificate.service")
    assert within(10, lambda: workers() != old)
    assert host.check_output("systemctl show --value --property MainPID nginx") == main


def test_bad_input_leaves_the_running_service_alone(host: Host, ask: Ask, converge: Converge) -> None:
    before = host.check_output(
        "sha256sum /etc/nginx/nginx.conf; systemctl show --value --property MainPID nginx; pgrep -c nginx"
    )
    site = {"name": "bad", "certificate": f"{PKI}/{NAME}.crt", "certificate_key": f"{PKI}/{NAME}.key"}
    no_directive = {**site, "locations": [{"path": "/", "return": "204", "options": {"no_such_directive": "1"}}]}
    assert 'unknown directive "no_such_directive"' in converge(fails=True, nginx_sites=[no_directive])
    two_answers = {**site, "locations": [{"path": "/", "return": "204", "root": "/srv"}]}
    assert "it must have exactly one" in " ".join(converge(fails=True, nginx_sites=[two_answers]).split())
    by_halves = [{"name": "often", "per_minute": 6, "methods": ["post"]}]
    said = converge(fails=True, nginx_sites=[{**site, "locations": []}], nginx_request_limits=by_halves)
    assert "methods in capital letters" in " ".join(said.split())
    host.check_output("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /root/other.key")
    other_key = {**site, "certificate_key": "/root/other.key", "locations": [{"path": "/", "return": "204"}]}
    said = converge(fails=True, nginx_sites=[other_key])
    assert "/root/other.key" in said
    assert "key values mismatch" in said
    no_such_file = {**site, "locations": [], "client_ca_source": "/nowhere/ca.crt", "client_certificate": "perhaps"}
    said = converge(fails=True, nginx_sites=[no_such_file])
    assert "client_certificate required or accepted" in " ".join(said.split()) or "must be one of" in said
    after = host.check_output(
        "sha256sum /etc/nginx/nginx.conf; systemctl show --value --property MainPID nginx; pgrep -c nginx"
    )
    assert after == before
    assert ask("/health").startswith("HTTP/2 204")


def test_logs_are_for_administrators(host: Host) -> None:
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /var/log/nginx/open.log").rc != 0


def test_it_is_confined(exposure: Exposure) -> None:
    assert exposure("nginx.service") <= 4.0


def test_who_asks_too_often_is_told_to_come_later(ask: Ask) -> None:
    answers = [ask("/often").split()[1] for _ in range(8)]
    assert answers[:4] == ["200"] * 4
    assert "429" in answers
    assert ask("/health").split()[1] == "204", "elsewhere nothing changes"


def test_whoever_takes_another_ipv6_address_each_time_is_told_too(host: Host) -> None:
    if not host.file("/proc/net/if_inet6").content:
        pytest.skip("this machine has no IPv6")
    addresses = [f"2001:db8:5:6::{number}" for number in range(1, 9)]
    for address in addresses:
        host.check_output(f"ip address replace {address}/128 dev lo nodad")
    try:
        statuses = host.check_output("python3 -c %s %s", ASK_FROM_EACH, " ".join(addresses)).split()
    finally:
        for address in addresses:
            host.check_output(f"ip address delete {address}/128 dev lo")
    assert statuses[:4] == ["200"] * 4
    assert "429" in statuses


def test_only_the_methods_that_count_are_told_to_come_later(ask: Ask) -> None:
    sent = [ask("/form", "--data", "a=b").split()[1] for _ in range(8)]
    assert sent[:4] == ["200"] * 4
    assert "429" in sent
    assert [ask("/form").split()[1] for _ in range(8)] == ["200"] * 8


@pytest.mark.usefixtures("changed")
def test_with_every_variable_changed(ask: Ask) -> None:
    answer = ask("/health")
    assert answer.startswith("HTTP/2 204")
    assert "strict-transport-security" not in answer.lower()
    assert ask("/slow").startswith("HTTP/2 504"), "an upstream has a second"
