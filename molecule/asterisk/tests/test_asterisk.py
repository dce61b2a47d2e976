"""The role asterisk with its defaults: what a phone, a manager program and a stranger find."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dialogue import manager, sip_line, sip_options, tls_context
from scenario_fixtures import Exposure, within
from testinfra.host import Host

RELEASE = "/var/lib/centralino/agent/current"
PKI, NAME = "/etc/centralino/pki", "molecule-asterisk"
ENDPOINT = "t9-k3w8qz5m1xvb"
TLS_ENDPOINT = "t9-f6d2hn8r4jcy"
PJSIP = f"""
[{ENDPOINT}]
type = endpoint
context = t9-internal
disallow = all
allow = alaw
auth = {ENDPOINT}
aors = {ENDPOINT}

[{ENDPOINT}]
type = auth
auth_type = userpass
username = {ENDPOINT}
password = Jw7RtXv2QmKp9ZsLd4Hn

[{ENDPOINT}]
type = aor
max_contacts = 1

[{TLS_ENDPOINT}]
type = endpoint
transport = transport-tls
context = t9-internal
disallow = all
allow = alaw
aors = {TLS_ENDPOINT}

[{TLS_ENDPOINT}]
type = aor
max_contacts = 1
"""
EXTENSIONS = f"""
[t9-internal]
exten => 101,hint,PJSIP/{ENDPOINT}
exten => 101,1,Dial(PJSIP/{ENDPOINT})
exten => 200,1,Set(CHANNEL(accountcode)=t9)
same => n,Answer()
same => n,Playback(beep)
same => n,Hangup()
"""


@pytest.fixture
def context(host: Host) -> ssl.SSLContext:
    return tls_context(host.file("/etc/centralino/pki/ca.crt").content_string)


@pytest.fixture
def cti(variables: dict[str, Any]) -> dict[str, str]:
    return dict(variables["asterisk_manager_users"][0])


def cli(host: Host, command: str) -> str:
    return str(host.check_output("asterisk -rx %s", command))


def test_version_is_22_10_or_later(host: Host) -> None:
    found = re.match(r"Asterisk (\d+)\.(\d+)", cli(host, "core show version"))
    assert found
    assert (int(found[1]), int(found[2])) >= (22, 10)


def test_options_over_udp_are_answered(address: str) -> None:
    answer = sip_options(address, 5060)
    assert answer.startswith("SIP/2.0 ")
    assert "\r\nServer: Centralino" in answer


def test_options_over_tls_are_answered_with_the_clusters_certificate(address: str, context: ssl.SSLContext) -> None:
    assert sip_options(address, 5061, context=context).startswith("SIP/2.0 ")


@pytest.mark.parametrize("port", [5061, 5039])
def test_old_tls_is_refused(address: str, context: ssl.SSLContext, port: int) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side's OpenSSL would refuse, and the test show nothing
    with (
        socket.create_connection((address, port), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)alert|version|eof"),
    ):
        context.wrap_socket(plain, server_hostname=address)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("port", [5061, 5039])
def test_today_s_tls_is_spoken(address: str, context: ssl.SSLContext, port: int, version: ssl.TLSVersion) -> None:
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((address, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=address) as connection,
    ):
        assert connection.version() == version.name.replace("_", ".")


@pytest.mark.parametrize("port", [5061, 5039])
def test_no_second_handshake_on_one_connection(host: Host, port: int) -> None:
    ask = f"(sleep 1; echo R; sleep 2) | timeout 10 openssl s_client -connect localhost:{port} -tls1_2 2>&1"
    said = host.run(ask).stdout
    assert "RENEGOTIATING" in said
    # pjproject does not always send its refusal, so what counts is that the server's certificate is shown once.
    assert said.count(f"depth=0 CN={NAME}\nverify return") == 1


def shown_certificates(address: str) -> list[str]:
    """Return the certificates (PEM) that SIP and the manager interface show.

    None while either opens its listener anew, which refuses or cuts who connects in that moment.
    """
    try:
        return [ssl.get_server_certificate((address, port)) for port in (5061, 5039)]
    except OSError:
        return []


@contextmanager
def renewed_certificate(host: Host, address: str) -> Iterator[None]:
    """Renew the guest's certificate for so long, and wait until both ports show the one that is there."""
    before = shown_certificates(address)
    assert len(before) == 2
    assert before[0] == before[1]

    def renewed() -> list[str]:
        shown = shown_certificates(address)
        return [] if set(shown) & set(before) else shown

    host.check_output("cp --preserve --recursive %s /root/pki", PKI)
    try:
        host.check_output(
            "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=renewed"
            " -keyout renewed -out renewed.crt && cat renewed > %s.key && cat renewed.crt > %s.crt",
            *(PKI, NAME, NAME),
        )
        host.check_output("systemctl reload centralino-certificate")
        # systemd passes the reload on, but does not wait for it.
        after = within(20, renewed)
        assert len(set(after)) == 1
        yield
    finally:
        host.check_output("cp --preserve --recursive /root/pki/. %s && rm -r /root/pki %s/renewed*", PKI, PKI)
        host.check_output("systemctl reload centralino-certificate")
        assert within(20, lambda: shown_certificates(address) == before)


def test_renewed_certificate_is_read_without_a_restart(host: Host, address: str) -> None:
    process = host.check_output("systemctl show --property MainPID --value asterisk")
    with renewed_certificate(host, address):
        assert process == host.check_output("systemctl show --property MainPID --value asterisk")


def test_unknown_endpoint_learns_nothing_and_is_logged(host: Host, address: str) -> None:
    assert "401 Unauthorized" in sip_options(address, 5060)
    for _ in range(6):  # a stranger is logged from the fifth request in five seconds on
        sip_options(address, 5060)
    assert "198.18.0.1" in host.check_output("tail -n 20 /var/log/asterisk/security.log")


def test_manager_lets_the_right_secret_in(address: str, context: ssl.SSLContext, cti: dict[str, str]) -> None:
    with manager(address, 5039, context) as ami:
        assert ami.greeting.startswith("Asterisk Call Manager/")
        assert ami.action("Login", Username=cti["name"], Secret=cti["secret"])["Response"] == "Success"
        assert "Permission denied" in ami.action("Command", Command="core show version")["Message"]


def test_manager_lets_a_program_in_that_returns_before_its_former_session_is_given_up(
    address: str, context: ssl.SSLContext, cti: dict[str, str]
) -> None:
    """As after a crash of its machine, of which Asterisk learns minutes later."""
    with manager(address, 5039, context) as former, manager(address, 5039, context) as ami:
        for session in (former, ami):
            assert session.action("Login", Username=cti["name"], Secret=cti["secret"])["Response"] == "Success"


def test_manager_refuses_a_wrong_secret_and_logs_it(
    host: Host, address: str, context: ssl.SSLContext, cti: dict[str, str]
) -> None:
    with manager(address, 5039, context) as ami:
        assert ami.action("Login", Username=cti["name"], Secret="wrong" * 5)["Message"] == "Authentication failed"
    assert 'SecurityEvent="InvalidPassword",' in host.check_output("tail -n 5 /var/log/asterisk/security.log")


def test_manager_refuses_the_right_secret_from_elsewhere(
    address: str, context: ssl.SSLContext, variables: dict[str, Any]
) -> None:
    user = variables["asterisk_manager_users"][1]
    with manager(address, 5039, context) as ami:
        assert ami.action("Login", Username=user["name"], Secret=user["secret"])["Message"] == "Authentication failed"


def test_plain_manager_is_refused(address: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 5038), timeout=5)


def test_plain_manager_lets_nobody_in_on_loopback(host: Host, cti: dict[str, str]) -> None:
    login = f"Action: Login\\r\\nUsername: {cti['name']}\\r\\nSecret: {cti['secret']}\\r\\n\\r\\n"
    connect = "import socket; s = socket.create_connection(('127.0.0.1', 5038), 5); s.recv(99)"
    script = f"{connect}; s.sendall(b'{login}'); print(s.recv(999))"
    assert "Authentication failed" in host.check_output("python3 -c %s", script)


def test_nothing_else_listens_beyond_loopback(host: Host) -> None:
    listening = host.check_output("ss --no-header --listening --numeric --tcp --processes")
    sockets = [line.split()[3] for line in listening.splitlines() if "asterisk" in line]
    assert sorted(sockets) == ["0.0.0.0:5039", "0.0.0.0:5061", "127.0.0.1:5038"]


def test_nothing_went_wrong_at_the_start(host: Host) -> None:
    host.check_output("systemctl restart asterisk")
    log = host.check_output("cat /var/log/asterisk/messages.log")
    start = log[log.rindex("] Asterisk 22.") :]
    wrong = [line for line in start.splitlines() if "ERROR" in line or ("WARNING" in line and "loader.c" in line)]
    assert wrong == []


def test_every_listed_module_runs(host: Host) -> None:
    listed = set(re.findall(r"^load = (\S+)$", host.file("/etc/asterisk/modules.conf").content_string, re.MULTILINE))
    running = set(re.findall(r"^(\S+\.so) .* Running ", cli(host, "module show"), re.MULTILINE))
    assert listed - running == set()
    assert running - listed == set()


def test_asterisk_cannot_write_its_configuration(host: Host) -> None:
    assert host.run("setpriv --reuid asterisk --regid asterisk --init-groups touch /etc/asterisk/x").rc != 0
    assert host.run("setpriv --reuid nobody --clear-groups cat /etc/asterisk/manager.conf").rc != 0


def test_service_is_sandboxed(exposure: Exposure) -> None:
    assert exposure("asterisk.service") <= 4.0


def test_crash_is_followed_by_a_start(host: Host) -> None:
    before = host.check_output("systemctl show --property MainPID --value asterisk")
    host.check_output("kill -SEGV %s", before)

    def back() -> bool:
        now = host.check_output("systemctl show --property MainPID --value asterisk")
        return now not in {before, "0"} and host.service("asterisk").is_running

    assert within(20, back)


def test_logs_rotate(host: Host) -> None:
    host.check_output("logrotate --force /etc/logrotate.d/asterisk")
    cli(host, "logger reload")
    assert host.file("/var/log/asterisk/messages.log").user == "asterisk"
    assert host.file("/var/log/asterisk/messages.log.1").exists


def test_the_logs_sizes_are_looked_at_many_times_a_day(host: Host) -> None:
    """Debian looks once: a sender without an account fills the disk before that."""
    calendar = host.check_output("systemctl show --property TimersCalendar --value logrotate.timer")
    assert "OnCalendar=*-*-* *:00/10:00 " in calendar
    assert calendar.count("OnCalendar=") == 1


@pytest.fixture
def release(host: Host) -> Iterator[None]:
    """Make a release as the PBX agent does: one endpoint and its hint."""
    host.check_output("mkdir -p %s", RELEASE)
    for name, text in (("pjsip.conf", PJSIP), ("extensions.conf", EXTENSIONS)):
        host.check_output("printf %%s %s > %s", text, f"{RELEASE}/{name}")
    yield
    host.check_output("rm -r %s", RELEASE)
    for module in ("res_pjsip.so", "pbx_config.so"):
        cli(host, f"module reload {module}")


@pytest.mark.usefixtures("release")
def test_release_is_loaded_by_a_reload(host: Host, address: str, context: ssl.SSLContext, cti: dict[str, str]) -> None:
    for module in ("res_pjsip.so", "pbx_config.so"):
        assert "reloaded successfully" in cli(host, f"module reload {module}")
    assert f"Endpoint:  {ENDPOINT}" in cli(host, "pjsip show endpoints")
    with manager(address, 5039, context) as ami:
        ami.action("Login", Username=cti["name"], Secret=cti["secret"])
        assert ami.action("ExtensionStateList")["Response"] == "Success"
        seen = ami.message()
        while seen.get("Event") != "ExtensionStatus":
            seen = ami.message()
    assert (seen["Exten"], seen["Context"], seen["StatusText"]) == ("101", "t9-internal", "Unavailable")


@pytest.mark.usefixtures("release")
def test_renewed_certificate_cuts_nobody_off(
    host: Host, address: str, context: ssl.SSLContext, cti: dict[str, str]
) -> None:
    cli(host, "module reload res_pjsip.so")
    with sip_line(address, 5061, context=context) as phone, manager(address, 5039, context) as ami:
        assert "200 OK" in phone.register(TLS_ENDPOINT)
        ami.action("Login", Username=cti["name"], Secret=cti["secret"])
        with renewed_certificate(host, address):
            cli(host, f"pjsip qualify {TLS_ENDPOINT}")
            assert phone.receive().startswith("OPTIONS ")
            assert ami.action("Ping")["Response"] == "Success"


@pytest.mark.usefixtures("release")
def test_call_leaves_its_history_as_json(host: Host) -> None:
    cli(host, "module reload pbx_config.so")
    cli(host, "channel originate Local/200@t9-internal application Wait 1")
    assert within(15, lambda: host.file("/var/log/asterisk/cdr-custom/cdr.json").exists)
    records = host.check_output("cat /var/log/asterisk/cdr-custom/cdr.json").splitlines()
    events = host.check_output("cat /var/log/asterisk/cel-custom/cel.json").splitlines()
    calls = {(record["accountcode"], record["dcontext"], record["disposition"]) for record in map(json.loads, records)}
    assert ("t9", "t9-internal", "ANSWERED") in calls
    assert all(json.loads(record)["uniqueid"].startswith("molecule-asterisk-") for record in records)
    assert "ANSWER" in {json.loads(event)["eventtype"] for event in events}


@pytest.mark.usefixtures("release")
def test_trial_asterisk_boots_beside_the_live_one(host: Host) -> None:
    """Another directory of links to the same files, its own release, its own network: how the agent tries a release."""
    script = """
        cd "$(mktemp --directory)"
        mkdir run db log spool cache
        for file in /etc/asterisk/*; do
            case $file in */asterisk.conf) ;; *) ln -s "$file" . ;; esac
        done
        sed -E -e "s,^(astetcdir).*,\\1 => $PWD," -e "s,^ast(run|db|log|spool|cache)dir.*,ast\\1dir => $PWD/\\1," \
            /etc/asterisk/asterisk.conf > asterisk.conf
        boot='ip link set lo up && exec asterisk -f -C "$PWD/asterisk.conf"'
        unshare --map-root-user --net sh -c "$boot" > output 2>&1 &
        for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S run/asterisk.ctl ] && break; sleep 0.3; done
        asterisk -C "$PWD/asterisk.conf" -rx 'core waitfullybooted'
        asterisk -C "$PWD/asterisk.conf" -rx 'pjsip show endpoints'
        asterisk -C "$PWD/asterisk.conf" -rx 'pjsip show transports'
        asterisk -C "$PWD/asterisk.conf" -rx 'core stop now'
        wait
        cat output
        grep ERROR log/messages.log
        rm -r "$PWD"
    """
    said = host.run("setpriv --reuid asterisk --regid asterisk --init-groups sh -c %s 2>&1", script).stdout
    assert f"Endpoint:  {ENDPOINT}" in said
    assert "0.0.0.0:5061" in said
    assert "ERROR" not in said


def test_the_apparmor_profile_is_sound_and_names_what_the_service_has_open(
    host: Host, beyond_profile: Callable[[str], list[str]]
) -> None:
    host.check_output("apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/centralino-asterisk")
    assert beyond_profile("asterisk") == []
