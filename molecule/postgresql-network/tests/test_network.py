"""Who gets in over the network."""

from testinfra.backend.base import CommandResult
from testinfra.host import Host

NAME = "molecule-postgresql-network"
PKI = "/etc/centralino/pki"
VERIFIED = f"sslmode=verify-full sslrootcert={PKI}/ca.crt"
OURS = f"sslcert={PKI}/{NAME}.crt sslkey={PKI}/{NAME}.key"


def ask(host: Host, address: str, role: str, options: str, sql: str = "SELECT 1") -> CommandResult:
    return host.run("psql -X -A -t %s -c %s", f"host={address} port=5433 dbname=panel user={role} {options}", sql)


def test_a_certificate_opens_the_role_that_it_is_mapped_to(host: Host, address: str) -> None:
    answer = ask(
        host,
        address,
        "panel",
        f"{VERIFIED} {OURS}",
        "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    )
    assert answer.stdout.strip() == "t|TLSv1.3", answer.stderr


def test_and_no_other(host: Host, address: str) -> None:
    answer = ask(host, address, "postgres", f"{VERIFIED} {OURS}")
    assert "no pg_hba.conf entry" in answer.stderr


def test_without_a_certificate_there_is_no_way_in(host: Host, address: str) -> None:
    assert (
        "connection requires a valid client certificate"
        in ask(host, address, "panel", f"{VERIFIED} sslcert=/none sslkey=/none").stderr
    )


def test_a_password_needs_tls(host: Host, address: str) -> None:
    assert ask(host, address, "reader", f"{VERIFIED} password=secret").rc == 0
    assert "no encryption" in ask(host, address, "reader", "sslmode=disable password=secret").stderr
    assert "password authentication failed" in ask(host, address, "reader", f"{VERIFIED} password=wrong").stderr


def test_old_tls_is_refused(host: Host, address: str) -> None:
    old = host.run(
        f"openssl s_client -starttls postgres -connect {address}:5433 -tls1_1 -cipher DEFAULT:@SECLEVEL=0 </dev/null"
    )
    assert "alert protocol version" in old.stderr
    assert host.run(f"openssl s_client -starttls postgres -connect {address}:5433 -tls1_2 </dev/null").rc == 0


def test_it_listens_where_it_was_told_alone(host: Host, address: str) -> None:
    listening = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines() if "543" in line]
    assert listening == [f"{address}:5433"]


def test_settings_take_effect(host: Host) -> None:
    shown = host.check_output(
        "runuser -u postgres -- psql -X -A -t -p 5433 -c %s",
        "SELECT current_setting('max_connections'), current_setting('shared_buffers')",
    )
    assert shown == "40|128MB"


def test_a_role_has_its_attributes(host: Host, address: str) -> None:
    assert ask(host, address, "panel", f"{VERIFIED} {OURS}", "CREATE DATABASE made").rc == 0
    assert ask(host, address, "panel", f"{VERIFIED} {OURS}", "DROP DATABASE made").rc == 0


def test_a_new_certificate_is_taken_without_a_restart(host: Host, address: str) -> None:
    def times() -> list[str]:
        return (
            ask(host, address, "panel", f"{VERIFIED} {OURS}", "SELECT pg_postmaster_start_time(), pg_conf_load_time()")
            .stdout.strip()
            .split("|")
        )

    before = times()
    host.check_output("systemctl reload centralino-certificate.service; sleep 1")
    after = times()
    assert after[0] == before[0]
    assert after[1] != before[1]
