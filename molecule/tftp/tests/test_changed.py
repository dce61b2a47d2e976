"""The same role on one address and another port, for one machine alone."""

import socket

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.usefixtures("changed")

PORT = 6969
ASK = """
import socket, sys
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.settimeout(2)
udp.sendto(b"\\0\\1snom.htm\\0octet\\0", (sys.argv[1], int(sys.argv[2])))
print(udp.recv(2048))
"""


def test_it_answers_there(address: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(b"\0\1snomD785.htm\0octet\0", (address, PORT))
        assert udp.recv(2048) == b"\0\3\0\1<settings/>"


def test_the_guest_itself_is_not_among_those_that_may_read(host: Host, address: str) -> None:
    assert "TimeoutError" in host.run("python3 -c %s %s %s", ASK, address, str(PORT)).stderr


def test_it_listens_where_it_is_told_alone(host: Host, address: str) -> None:
    assert {line.split()[3] for line in host.check_output("ss -Hlnu").splitlines()} == {f"{address}:{PORT}"}
