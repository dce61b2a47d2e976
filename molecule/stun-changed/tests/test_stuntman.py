"""The same role with a package that was supplied, on another port."""

import secrets
import socket
import struct

from scenario_fixtures import Exposure
from testinfra.host import Host

PORT = 13478
COOKIE = 0x2112A442


def test_it_tells_the_address_that_it_sees(address: str) -> None:
    question = struct.pack("!HHI", 1, 0, COOKIE) + secrets.token_bytes(12)
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(3)
        udp.connect((address, PORT))
        udp.send(question)
        answer, own = udp.recv(2048), udp.getsockname()
    assert answer[8:20] == question[8:20]
    port, host = struct.unpack("!HI", answer[26:32])
    assert (socket.inet_ntoa(struct.pack("!I", host ^ COOKIE)), port ^ COOKIE >> 16) == own


def test_the_supplied_package_is_what_runs(host: Host) -> None:
    assert host.package("stuntman-server").is_installed
    assert not host.package("coturn").is_installed
    main = host.check_output("systemctl show --value --property MainPID centralino-stun")
    assert "/usr/sbin/stunserver" in host.check_output("tr '\\0' ' ' < /proc/%s/cmdline", main)


def test_it_listens_where_it_is_told_alone(host: Host, address: str) -> None:
    assert {line.split()[3] for line in host.check_output("ss -Hlnu").splitlines()} == {f"{address}:{PORT}"}


def test_it_is_confined(exposure: Exposure) -> None:
    assert exposure("centralino-stun.service") <= 2.5
