"""What is said on a guest is kept on the log host, from those alone who may send."""

import os
import secrets
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scenario_fixtures import Exposure, Refused, listens, within
from testinfra.host import Host

AUTHORITY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "pki")
FOLDER = "/var/log/remote"
HERE = "198.18.0.1"
"""Where these tests send from."""


def said(host: Host) -> str:
    """Say something on the guest that nobody has said before, and return it."""
    words = f"something new {secrets.token_hex(8)}"
    host.check_output("logger --tag molecule %s", words)
    return words


def kept(host: Host, words: str, folder: str = FOLDER) -> str:
    """Return the files that have these words."""
    return str(host.run("grep --recursive --files-with-matches -- %s %s", words, folder).stdout).strip()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ssl.SSLContext]:
    """Return a function that makes a certificate of the internal authority and a context that shows it."""

    def make(name: str) -> ssl.SSLContext:
        folder = tmp_path_factory.mktemp("sender")
        new = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "key",
            "-subj",
            f"/CN={name}",
        ]
        sign = ["-CA", str(AUTHORITY / "ca.crt"), "-CAkey", str(AUTHORITY / "ca.key"), "-CAserial", "serial"]
        for command in (
            ["openssl", "req", *new, "-out", "request"],
            ["openssl", "x509", "-req", "-in", "request", *sign, "-CAcreateserial", "-out", "certificate"],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        tls = ssl.create_default_context(cafile=AUTHORITY / "ca.crt")
        tls.load_cert_chain(folder / "certificate", folder / "key")
        return tls

    return make


def send(address: str, words: str, tls: ssl.SSLContext | None) -> None:
    """Send a message as RFC 5425 has it, over TLS where there is a context; a refusal is for the caller to see."""
    message = f"<13>1 - elsewhere test - - - {words}"
    with socket.create_connection((address, 6514), timeout=5) as plain, suppress(OSError):
        line = tls.wrap_socket(plain, server_hostname=address) if tls else plain
        line.settimeout(1)
        line.sendall(f"{len(message)} {message}".encode())
        line.recv(1)  # with TLS 1.3 a client hears afterwards that its certificate is not taken


def test_what_is_said_is_kept_with_who_said_it(host: Host, address: str) -> None:
    words = said(host)
    file = within(20, lambda: kept(host, words))
    assert file == f"{FOLDER}/{address}.log" or file.startswith((f"{FOLDER}/127.", f"{FOLDER}/::1"))
    line = host.check_output("grep -- %s %s", words, file)
    assert " molecule-logs molecule" in line
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups cat %s", file).rc != 0
    assert host.run("setpriv --reuid=nobody --regid=adm --clear-groups cat %s", file).rc == 0


def test_what_is_said_meanwhile_comes_later(host: Host) -> None:
    assert within(20, lambda: kept(host, said(host)))
    host.check_output("systemctl stop rsyslog")
    words = said(host)
    host.check_output("journalctl --sync; systemctl start rsyslog")
    assert within(30, lambda: kept(host, words))


def test_who_may_send_is_heard(host: Host, address: str, certificate: Callable[[str], ssl.SSLContext]) -> None:
    listens(host, 6514)
    words = f"from afar {secrets.token_hex(8)}"
    send(address, words, certificate("pbx01"))
    assert within(10, lambda: kept(host, words)) == f"{FOLDER}/{HERE}.log", (
        "the name that a sender gives itself does not count"
    )


def test_nobody_else_is(host: Host, address: str, certificate: Callable[[str], ssl.SSLContext]) -> None:
    nameless = ssl.create_default_context(cafile=AUTHORITY / "ca.crt")
    for words, tls in (
        ("from another guest", certificate("web01")),
        ("without a certificate", nameless),
        ("without TLS", None),
    ):
        send(address, words, tls)
    words = f"and then {secrets.token_hex(8)}"
    send(address, words, certificate("pbx01"))
    assert within(10, lambda: kept(host, words))
    for refused in ("from another guest", "without a certificate", "without TLS"):
        assert kept(host, refused) == ""


def test_what_is_kept_is_rotated(host: Host) -> None:
    assert within(20, lambda: kept(host, said(host)))
    host.check_output("logrotate --force /etc/logrotate.d/centralino-logs")
    words = said(host)
    assert within(20, lambda: kept(host, words)).endswith(".log")


def test_a_new_certificate_is_taken(host: Host) -> None:
    before = host.check_output("systemctl show --value --property MainPID rsyslog")
    host.check_output("systemctl reload centralino-certificate.service")
    assert within(
        20, lambda: host.check_output("systemctl show --value --property MainPID rsyslog") not in {before, "0"}
    )
    words = said(host)
    assert within(30, lambda: kept(host, words))


def test_the_guests_own_messages_are_in_its_journal_alone(host: Host) -> None:
    assert not host.file("/var/log/syslog").exists
    assert "missed" not in host.check_output("journalctl --output cat --unit systemd-journald --no-pager")


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("rsyslog").is_enabled
    main = host.check_output("systemctl show --value --property MainPID rsyslog")
    assert host.check_output("stat --format %%U /proc/%s", main) == "centralino-logs"
    assert exposure("rsyslog.service") <= 2.5


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"logs_host": "", "logs_receive": False},
            "name in the inventory of molecule-logs the server that takes its journal",
        ),
        ({"logs_port": 514}, "and a port from 1024 to 65535"),
        ({"logs_senders": []}, "name those that may send to molecule-logs as their certificates do"),
        ({"logs_ca": "/nowhere.crt"}, "/nowhere.crt is not on molecule-logs: apply the role pki first"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    ask = "systemctl show --property MainPID,NeedDaemonReload rsyslog"
    before = host.check_output(ask)
    assert sentence in refused(variables)
    assert host.check_output(ask) == before


def test_with_every_variable_changed(host: Host, changed: dict[str, Any]) -> None:
    words = said(host)
    assert within(30, lambda: kept(host, words, changed["logs_folder"]))
    assert kept(host, words) == ""
    assert host.check_output("ss -Hltn 'sport = :6515'")
    assert not host.check_output("ss -Hltn 'sport = :6514'")
    assert f"rotate {changed['logs_keep_days']}\n" in host.file("/etc/logrotate.d/centralino-logs").content_string
