"""Who gets in by the socket, who does not, and what a change of the configuration does to the running server."""

import pytest
from scenario_fixtures import Converge, Exposure, Refused, within
from testinfra.backend.base import CommandResult
from testinfra.host import Host


def query(
    host: Host, system_user: str, role: str, sql: str, *, phrase: str = "", database: str = "panel"
) -> CommandResult:
    """Ask as a user of the system for a role of the database."""
    return host.run(
        "runuser -u %s -- env PGPASSWORD=%s psql -X -A -t -v ON_ERROR_STOP=1 -U %s -d %s -c %s",
        system_user,
        phrase,
        role,
        database,
        sql,
    )


def show(host: Host, setting: str) -> str:
    answer = query(host, "postgres", "postgres", f"SHOW {setting}", database="postgres")
    assert answer.rc == 0
    return str(answer.stdout.strip())


def started(host: Host) -> str:
    return str(query(host, "postgres", "postgres", "SELECT pg_postmaster_start_time()").stdout)


def test_the_mapped_user_owns_its_database(host: Host) -> None:
    answer = query(
        host,
        "www-data",
        "panel",
        "CREATE TABLE seen (at int); INSERT INTO seen VALUES (7); SELECT at FROM seen; DROP TABLE seen",
    )
    assert answer.rc == 0
    assert "7" in answer.stdout


@pytest.mark.parametrize(
    ("system_user", "role"), [("nobody", "panel"), ("www-data", "postgres"), ("root", "panel"), ("root", "postgres")]
)
def test_nobody_takes_a_role_that_is_not_theirs(host: Host, system_user: str, role: str) -> None:
    answer = query(host, system_user, role, "SELECT 1")
    assert answer.rc != 0
    assert "Peer authentication failed" in answer.stderr


def test_a_password_is_asked_for_and_checked(host: Host) -> None:
    assert query(host, "nobody", "reader", "SELECT 1", phrase="it's secret").rc == 0
    wrong = query(host, "nobody", "reader", "SELECT 1", phrase="it's wrong")
    assert "password authentication failed" in wrong.stderr


def test_passwords_are_kept_as_scram(host: Host) -> None:
    kept = query(host, "postgres", "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'").stdout
    assert kept.startswith("SCRAM-SHA-256$")


def test_a_role_does_only_what_it_may(host: Host) -> None:
    assert query(host, "www-data", "panel", "CREATE TABLE IF NOT EXISTS private (a int)").rc == 0
    assert "permission denied" in query(host, "nobody", "reader", "SELECT * FROM private", phrase="it's secret").stderr
    assert (
        "permission denied"
        in query(host, "nobody", "reader", "CREATE TEMPORARY TABLE x (a int)", phrase="it's secret").stderr
    )
    assert "permission denied" in query(host, "www-data", "panel", "CREATE DATABASE other").stderr


def test_databases_that_were_not_named_are_shut(host: Host) -> None:
    answer = query(host, "www-data", "panel", "SELECT 1", database="postgres")
    assert "no pg_hba.conf entry" in answer.stderr


def test_it_listens_on_no_network(host: Host) -> None:
    assert "5432" not in host.check_output("ss -Hltn")
    assert host.run("psql -h 127.0.0.1 -U reader panel -c 'SELECT 1'").rc != 0


def test_data_survives_a_crash(host: Host) -> None:
    assert query(host, "www-data", "panel", "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer").rc == 0
    host.check_output("systemctl kill --signal SIGKILL postgresql@17-main")
    assert within(30, lambda: host.run("pg_isready").succeeded)
    assert query(host, "www-data", "panel", "SELECT answer FROM kept").stdout.strip() == "42"


def test_it_restarts_only_if_it_must(host: Host, converge: Converge) -> None:
    before = started(host)
    converge(postgresql_settings={"log_min_duration_statement": "3s"})
    assert show(host, "log_min_duration_statement") == "3s"
    assert started(host) == before
    converge(postgresql_settings={"max_connections": 77})
    assert show(host, "max_connections") == "77"
    assert started(host) != before
    converge()
    assert show(host, "max_connections") == "100"


def test_what_an_interrupted_run_left_is_caught_up(host: Host, converge: Converge) -> None:
    host.check_output("sed -i 's/^work_mem.*/work_mem = 1MB/' /etc/postgresql/17/main/conf.d/centralino.conf")
    host.check_output("systemctl reload postgresql@17-main")
    converge(postgresql_settings={"work_mem": "9MB"})
    assert show(host, "work_mem") == "9MB"
    host.check_output("sed -i 's/^work_mem.*/work_mem = '\\''8MB'\\''/' /etc/postgresql/17/main/conf.d/centralino.conf")
    converge(postgresql_settings={"work_mem": "8MB"})  # the file is as it shall be, but nobody told the server
    assert show(host, "work_mem") == "8MB"
    converge()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"postgresql_settings": {"no_such_setting": "1"}}, 'unrecognized configuration parameter "no_such_setting"'),
        (
            {"postgresql_access": [{"type": "local", "database": "all", "user": "all", "method": "cert"}]},
            "which PostgreSQL would refuse",
        ),
        ({"postgresql_listen_addresses": ["192.0.2.1"]}, "apply the role pki first"),
        ({"postgresql_databases": [{"name": "a b"}]}, "is not a plain name"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = (
        host.check_output("sha256sum /etc/postgresql/17/main/*.conf /etc/postgresql/17/main/conf.d/*"),
        started(host),
    )
    assert sentence in refused(variables)
    assert (
        host.check_output("sha256sum /etc/postgresql/17/main/*.conf /etc/postgresql/17/main/conf.d/*"),
        started(host),
    ) == before


def test_it_is_confined(exposure: Exposure) -> None:
    assert exposure("postgresql@17-main.service") <= 4.0
