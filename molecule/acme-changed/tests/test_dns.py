"""The same role by DNS, for every name below one, at a server that wants an account of its own."""

from collections.abc import Callable

from scenario_fixtures import within
from testinfra.host import Host

CURRENT = "/etc/centralino/acme/current"


def test_a_certificate_for_every_name_is_got_by_dns(
    host: Host, pebble: Callable[..., None], variables: dict[str, object]
) -> None:
    assert host.check_output(f"readlink -f {CURRENT}/certificate.pem") == "/etc/ssl/certs/ssl-cert-snakeoil.pem"
    accounts = {str(variables["acme_eab_key_id"]): variables["acme_eab_hmac_key"]}
    pebble(externalAccountBindingRequired=True, externalAccountMACKeys=accounts)
    host.check_output("systemctl restart centralino-acme")
    assert within(10, lambda: host.check_output(f"readlink {CURRENT}") != "first")
    names = host.check_output(f"openssl x509 -in {CURRENT}/certificate.pem -noout -ext subjectAltName")
    assert "DNS:*.example.com, DNS:example.com" in names
    assert host.check_output(f"stat --dereference --format '%U %G %a' {CURRENT}/key.pem") == "root adm 640"


def test_secrets_are_for_the_client_alone(host: Host) -> None:
    for file in ("acme.ini", "acme.env"):
        assert host.check_output(f"stat --format '%U %G %a' /etc/centralino/{file}") == "root centralino-acme 640"


def test_nothing_answers_over_http(host: Host) -> None:
    assert host.check_output("ss -Hltn 'sport = :80 or sport = :8080'") == ""
