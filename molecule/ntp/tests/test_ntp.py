"""Ask ntpd, in its sandbox and with its configuration, in a container that may not set the clock.

Debian's unit starts only where the clock may be set. The tests lift that condition for their own time: without the
capability ntpd measures and answers, and cannot touch the clock.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from scenario_fixtures import Exposure, within
from testinfra.host import Host

SERVER = ("198.18.0.1", 123)
EPOCH = 2_208_988_800
"""Seconds from NTP's epoch, 1900, to that of Unix."""

RUN_ANYWAY = """[Unit]
ConditionCapability=
[Service]
Type=exec
ExecStart=
ExecStart=/usr/sbin/ntpd -n -g -c /etc/ntpsec/ntp.conf -p /run/ntpd.pid
"""
"""What Debian's wrapper runs, in the foreground and without dropping to an account that would need the capability."""

ASK = """
import socket, sys
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 0))
udp.settimeout(2)
udp.sendto(bytes.fromhex(sys.argv[2]), ("127.0.0.1", 123))
print(len(udp.recv(999)))
"""
TIME = "23" + 47 * "00"
"""A client's question for the time (RFC 5905): version 4, mode 3."""
VARIABLES = "1602" + 10 * "00"
"""A request for the system's variables (RFC 9327): mode 6, operation 2."""


def now() -> bytes:
    """Return the time as NTP writes it: seconds and their fraction, 32 bits each."""
    seconds = time.time() + EPOCH
    return struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))


def serve(udp: socket.socket) -> None:
    """Answer with this machine's time until the socket is closed."""
    while True:
        try:
            request, client = udp.recvfrom(1024)
        except OSError:
            return
        received = now()
        head = struct.pack("!BBbbII4s", 0x24, 1, 6, -20, 0, 1, b"TEST")
        udp.sendto(head + received + request[40:48] + received + now(), client)


@pytest.fixture(scope="module")
def ntpd(host: Host) -> Iterator[Host]:
    """Run ntpd, and on this machine a server for it."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(SERVER)
        threading.Thread(target=serve, args=[udp], daemon=True).start()
        folder = "/run/systemd/system/ntpsec.service.d"
        host.check_output("install -d %s && printf %%s %s > %s/zz-molecule.conf", folder, RUN_ANYWAY, folder)
        host.check_output("systemctl daemon-reload && systemctl restart ntpsec")
        yield host
        host.check_output("systemctl stop ntpsec && rm %s/zz-molecule.conf && systemctl daemon-reload", folder)


def test_a_container_leaves_the_clock_to_its_host(host: Host) -> None:
    assert host.service("ntpsec").is_enabled
    host.check_output("systemctl start ntpsec")
    assert not host.service("ntpsec").is_running
    assert host.check_output("systemctl show --property=ConditionResult --value ntpsec") == "no"


def test_it_takes_the_time_from_the_server(ntpd: Host) -> None:
    def reached() -> list[str] | None:
        peers = [line.lstrip(" *+-#xo").split() for line in ntpd.check_output("ntpq --numeric --peers").splitlines()]
        return next((peer for peer in peers if peer[0] == SERVER[0] and peer[3] != "0" and int(peer[6], 8)), None)

    server = within(30, reached)
    assert server, "no answer of the server arrived"
    assert abs(float(server[8])) < 1000, "milliseconds between two readings of the same clock"


def test_it_tells_its_state_to_this_machine_alone(ntpd: Host) -> None:
    assert ntpd.run("python3 -c %s 127.0.0.1 %s", ASK, VARIABLES).rc == 0
    assert "TimeoutError" in ntpd.run("python3 -c %s 127.0.0.2 %s", ASK, VARIABLES).stderr


def test_it_tells_the_time_to_the_networks_that_it_serves_alone(ntpd: Host) -> None:
    assert ntpd.check_output("python3 -c %s 127.0.0.3 %s", ASK, TIME) == "48"
    assert "TimeoutError" in ntpd.run("python3 -c %s 127.0.0.2 %s", ASK, TIME).stderr
    assert "TimeoutError" in ntpd.run("python3 -c %s 127.0.0.3 %s", ASK, VARIABLES).stderr


def test_a_server_with_nts_is_asked_for_keys_over_tls(ntpd: Host) -> None:
    """NTS begins by TLS to port 4460, in which the client names the protocol (RFC 8915, 4)."""
    with socket.create_server((SERVER[0], 4460)) as keys:
        keys.settimeout(60)
        ntpd.check_output("echo %s nts.example.org >>/etc/hosts && systemctl restart ntpsec", SERVER[0])
        connection, _ = keys.accept()
        with connection:
            connection.settimeout(10)
            hello = connection.recv(4096)
    assert b"ntske/1" in hello


def test_it_writes_nothing_outside_of_its_own_state(ntpd: Host) -> None:
    process = ntpd.check_output("systemctl show --property=MainPID --value ntpsec")
    assert ntpd.run("nsenter --mount --target %s touch /etc/ntpsec/x", process).rc != 0
    assert ntpd.run("nsenter --mount --target %s touch /var/lib/ntpsec/x", process).rc == 0


def test_it_is_the_only_one_who_sets_the_clock(host: Host) -> None:
    assert not host.package("systemd-timesyncd").is_installed


def test_the_service_is_sandboxed(exposure: Exposure) -> None:
    assert exposure("ntpsec.service") <= 3.0


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("name", ["nts.example.org", "time.example.org"])
def test_with_every_variable_changed_each_server_is_asked_for_keys(ntpd: Host, name: str) -> None:
    """The daemon does not say which server it means, so only one of the names leads anywhere at a time."""
    with socket.create_server((SERVER[0], 4460)) as keys:
        keys.settimeout(60)
        ntpd.check_output("sed -i /example.org/d /etc/hosts && echo %s %s >>/etc/hosts", SERVER[0], name)
        ntpd.check_output("systemctl restart ntpsec")
        connection, _ = keys.accept()
        with connection:
            connection.settimeout(10)
            hello = connection.recv(4096)
    assert b"ntske/1" in hello
