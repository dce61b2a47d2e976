"""Another authority, in another folder, with other terms: the guest takes it without a trace of the former."""

from datetime import UTC, datetime, timedelta
from typing import Any

from testinfra.host import Host

FOLDER = "/etc/centralino/pki"


def ask(host: Host, certificate: str, what: str) -> str:
    said = host.check_output("openssl x509 -noout %s -dateopt iso_8601 -nameopt RFC2253 -in %s", what, certificate)
    return said.partition("=")[2]


def left(host: Host, certificate: str) -> timedelta:
    return datetime.fromisoformat(ask(host, certificate, "-enddate")) - datetime.now(UTC)


def test_the_guest_has_another_authoritys_certificate(host: Host, changed: dict[str, Any]) -> None:
    ours, authority = f"{FOLDER}/molecule-pki.crt", f"{FOLDER}/ca.crt"
    assert ask(host, authority, "-subject") == ask(host, ours, "-issuer") == f"CN={changed['pki_ca_name']}"
    assert timedelta(days=99) < left(host, authority) <= timedelta(days=changed["pki_ca_days"])
    assert timedelta(days=19) < left(host, ours) <= timedelta(days=changed["pki_certificate_days"])
    assert host.run("openssl verify -x509_strict %s", ours).rc == 0, "the system trusts the new one"
