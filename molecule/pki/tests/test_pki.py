"""The certificate is good for what it is for, its key is private, and it is replaced when it must be."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario_fixtures import Converge, Refused, listens
from testinfra.host import Host

NAME = "molecule-pki"
CERTIFICATE = f"/etc/centralino/pki/{NAME}.crt"
KEY = f"/etc/centralino/pki/{NAME}.key"
AUTHORITY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki"


def serial(host: Host) -> str:
    return host.check_output("openssl x509 -noout -serial -in %s", CERTIFICATE)


def public_key(host: Host) -> str:
    return host.check_output("openssl pkey -pubout -in %s", KEY)


def test_the_guest_trusts_its_certificate(host: Host) -> None:
    assert host.run("openssl verify -x509_strict %s", CERTIFICATE).rc == 0  # against the system's trust store


@pytest.mark.parametrize("name", [NAME, "pbx.example.org"])
def test_names(host: Host, name: str) -> None:
    assert "does match" in host.check_output("openssl x509 -noout -checkhost %s -in %s", name, CERTIFICATE)


def test_addresses(host: Host, address: str) -> None:
    for each in (address, "192.0.2.7", "2001:db8::7"):
        assert "does match" in host.check_output("openssl x509 -noout -checkip %s -in %s", each, CERTIFICATE)
    assert "NOT match" in host.run("openssl x509 -noout -checkip 192.0.2.8 -in %s", CERTIFICATE).stdout


def test_both_ends_of_a_handshake_accept_it(host: Host) -> None:
    ours = f"-cert {CERTIFICATE} -key {KEY}"
    host.check_output(
        "systemd-run --quiet --collect --unit handshake openssl s_server -accept 14443 -www"
        f" {ours} -CAfile /etc/centralino/pki/ca.crt -Verify 1 -verify_return_error"
    )
    ask = (
        r"printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -quiet -ign_eof -connect localhost:14443"
        f" -verify_hostname {NAME} -verify_return_error"
    )
    try:
        listens(host, 14443)
        assert "200 ok" in host.run(f"{ask} {ours}").stdout
        assert "200 ok" not in host.run(ask).stdout  # the server asks for a client's certificate
    finally:
        host.check_output("systemctl stop handshake")


def test_only_services_in_the_group_read_the_key(host: Host) -> None:
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups cat %s", KEY).rc != 0
    assert host.run("setpriv --reuid=nobody --regid=ssl-cert --clear-groups cat %s", KEY).rc == 0
    assert host.run("setpriv --reuid=nobody --regid=ssl-cert --clear-groups sh -c 'echo >>%s'", KEY).rc != 0


def test_only_its_owner_reads_the_authority() -> None:
    assert stat.S_IMODE((AUTHORITY / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(AUTHORITY.stat().st_mode) == 0o700


def test_keys_stay_where_they_are_made(host: Host) -> None:
    assert sorted(path.name for path in AUTHORITY.iterdir()) == ["ca.crt", "ca.key"]
    assert host.check_output("ls /etc/centralino/pki").split() == ["ca.crt", f"{NAME}.crt", f"{NAME}.key"]


@pytest.fixture
def reader(host: Host) -> Iterator[str]:
    """Run a service that reads the certificate; return the file that it makes when it is told of a new one."""
    told = "/run/reader-told"
    host.check_output(f"rm -f {told}")
    host.check_output(
        "systemd-run --quiet --collect --unit reader --property ReloadPropagatedFrom=centralino-certificate.service"
        f" --property 'ExecReload=/usr/bin/touch {told}' sleep infinity"
    )
    yield told
    host.check_output("systemctl stop reader")


def test_a_certificate_that_ends_soon_is_replaced_and_services_are_told(
    host: Host, converge: Converge, reader: str
) -> None:
    old, key = serial(host), public_key(host)
    converge()
    assert serial(host) == old
    assert not host.file(reader).exists
    converge(pki_certificate_days=500, pki_renew_before_days=400)
    assert serial(host) != old
    assert public_key(host) == key
    assert host.file(reader).exists


def test_a_new_name_makes_a_new_certificate(host: Host, converge: Converge) -> None:
    converge(pki_names=["new.example.org"])
    assert "does match" in host.check_output("openssl x509 -noout -checkhost new.example.org -in %s", CERTIFICATE)
    assert "NOT match" in host.run("openssl x509 -noout -checkhost pbx.example.org -in %s", CERTIFICATE).stdout


def test_a_new_authority_replaces_certificates(host: Host, converge: Converge) -> None:
    old = serial(host)
    for name in ("ca.crt", "ca.key"):
        (AUTHORITY / name).unlink()
    converge()
    assert serial(host) != old
    test_the_guest_trusts_its_certificate(host)


def test_half_an_authority_is_refused(converge: Converge) -> None:
    key = AUTHORITY / "ca.key"
    kept = key.rename(key.with_suffix(".kept"))
    try:
        assert "put the key back from a backup" in converge(fails=True)
        assert not key.exists()
    finally:
        kept.rename(key)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"pki_directory": ""}, "pki_directory is"),
        ({"pki_names": ["a b"]}, "is not a DNS name"),
        ({"pki_addresses": ["300.1.1.1"]}, "is not an IP address"),
        ({"pki_renew_before_days": 397}, "must be less than pki_certificate_days"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = serial(host)
    assert sentence in refused(variables)
    assert serial(host) == before
