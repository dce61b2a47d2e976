"""Ask the STUN server what it sees, from this machine and from a network behind the guest."""

import json
import secrets
import socket
import struct
from collections.abc import Iterator

import pytest
from scenario_fixtures import Converge, Exposure, Refused, within
from testinfra.host import Host

PORT = 3478
UNIT = "centralino-stun.service"
COOKIE = 0x2112A442
"""RFC 8489, section 5."""
BINDING, ALLOCATE, SHARED_SECRET = 0x0001, 0x0003, 0x0002
SUCCESS, FAILURE = 0x0101, 0x0111
XOR_MAPPED_ADDRESS = 0x0020
CHANGE_REQUEST = 0x0003
HEADER = 20
ATTRIBUTE = 12
"""Bytes of a message's header, and of an XOR-MAPPED-ADDRESS of IPv4."""

ELSEWHERE = """
import json, socket, sys
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 0))
udp.settimeout(3)
udp.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[2], int(sys.argv[4])))
print(json.dumps([udp.recv(2048).hex(), udp.getsockname()]))
"""


def message(kind: int, attributes: bytes = b"", cookie: int = COOKIE) -> bytes:
    """Return a STUN message with a transaction of its own."""
    return struct.pack("!HHI", kind, len(attributes), cookie) + secrets.token_bytes(12) + attributes


def ask(where: tuple[str, int], question: bytes, seconds: float = 3) -> tuple[bytes, tuple[str, int]]:
    """Return the answer, empty where none comes in that time, and the address that was asked from."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds)
        udp.connect(where)
        udp.send(question)
        try:
            return udp.recv(2048), udp.getsockname()
        except (TimeoutError, ConnectionRefusedError):
            return b"", udp.getsockname()


def mapped(question: bytes, answer: bytes) -> tuple[str, int]:
    """Return the address that the answer tells, having checked that it is one to this question."""
    kind, length, cookie = struct.unpack("!HHI", answer[:8])
    assert (kind, cookie, answer[8:HEADER]) == (SUCCESS, COOKIE, question[8:HEADER])
    assert length == len(answer) - HEADER
    attribute, size, _, family, port, host = struct.unpack("!HHBBHI", answer[HEADER : HEADER + ATTRIBUTE])
    assert (attribute, size, family) == (XOR_MAPPED_ADDRESS, 8, 1)
    return socket.inet_ntoa(struct.pack("!I", host ^ COOKIE)), port ^ COOKIE >> 16


@pytest.fixture
def elsewhere(host: Host) -> Iterator[Host]:
    """Give the guest another network, with a client in it: a network namespace at the end of a virtual cable."""
    for command in (
        "ip netns add behind",
        "ip link add near type veth peer name far netns behind",
        "ip address add 192.0.2.1/24 dev near",
        "ip link set near up",
        "ip -n behind address add 192.0.2.77/24 dev far",
        "ip -n behind link set far up",
        "ip -n behind route add default via 192.0.2.1",
    ):
        host.check_output(command)
    yield host
    host.check_output("ip link delete near; ip netns delete behind")


def test_it_tells_the_address_that_it_sees(address: str) -> None:
    question = message(BINDING)
    answer, own = ask((address, PORT), question)
    assert mapped(question, answer) == own


def test_it_tells_a_client_of_another_network_its_own(elsewhere: Host, address: str) -> None:
    elsewhere.check_output("systemctl restart %s", UNIT)  # coturn looks for addresses when it starts
    question = message(BINDING)
    command = "ip netns exec behind python3 -c %s 192.0.2.77 %s %s %s"
    answer, own = json.loads(elsewhere.check_output(command, ELSEWHERE, address, question.hex(), str(PORT)))
    assert mapped(question, bytes.fromhex(answer)) == tuple(own)
    assert own[0] == "192.0.2.77"


def test_an_answer_is_one_attribute_longer_than_the_question(address: str) -> None:
    answer, _ = ask((address, PORT), message(BINDING))
    assert len(answer) == HEADER + ATTRIBUTE


@pytest.mark.parametrize(
    "question",
    [
        message(ALLOCATE, struct.pack("!HHI", 0x0019, 4, 17 << 24)),
        message(SHARED_SECRET),
        message(BINDING, cookie=0),
        message(BINDING)[:19],
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        secrets.token_bytes(1200),
    ],
    ids=["allocate", "shared secret", "RFC 3489", "cut off", "empty", "HTTP", "noise"],
)
def test_everything_else_makes_it_no_amplifier(address: str, question: bytes) -> None:
    answer, _ = ask((address, PORT), question, seconds=0.5)
    assert len(answer) <= len(question) + ATTRIBUTE
    assert not answer.startswith(struct.pack("!H", SUCCESS))


def test_it_does_not_answer_from_where_it_was_not_asked(address: str) -> None:
    """RFC 5780's CHANGE-REQUEST would have it send to third parties' firewalls."""
    answer, _ = ask((address, PORT), message(BINDING, struct.pack("!HHI", CHANGE_REQUEST, 4, 6)))
    assert struct.unpack("!H", answer[:2])[0] == FAILURE, "it is asked to, and says that it will not"


def test_it_listens_for_stun_alone(host: Host) -> None:
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    listening = [line.split()[4] for line in host.check_output("ss -Hlntup").splitlines() if f"pid={main}," in line]
    assert listening
    assert all(where.endswith(f":{PORT}") for where in listening), listening
    assert "tcp" not in host.check_output("ss -Hlntp | grep -c pid=%s, || true", main)
    assert host.service("coturn").is_masked


def test_it_listens_where_it_is_told_alone(host: Host, address: str, converge: Converge) -> None:
    converge(stun_listen_addresses=[address], stun_port=PORT + 1)
    try:
        question = message(BINDING)
        answer, own = ask((address, PORT + 1), question)
        assert mapped(question, answer) == own
        assert ask((address, PORT), question, seconds=0.5)[0] == b""
        listening = {line.split()[3] for line in host.check_output("ss -Hlnu").splitlines()}
        assert listening == {f"{address}:{PORT + 1}"}
    finally:
        converge()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"stun_listen_addresses": ["cti01"]}, "give molecule-stun addresses of its own"),
        ({"stun_port": 80}, "a port from 1024 to 65535"),
        ({"stun_implementation": "stuntman"}, "set stun_package to its .deb file on this machine"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, address: str, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = host.check_output("systemctl show --property MainPID,FragmentPath,NeedDaemonReload %s", UNIT)
    assert sentence in refused(variables)
    assert host.check_output("systemctl show --property MainPID,FragmentPath,NeedDaemonReload %s", UNIT) == before
    assert ask((address, PORT), message(BINDING))[0]


def test_it_comes_back_after_a_crash(host: Host, address: str) -> None:
    host.check_output("systemctl kill --signal SIGKILL %s", UNIT)
    assert within(10, lambda: host.service(UNIT).is_running)
    assert ask((address, PORT), message(BINDING))[0]


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("centralino-stun").is_enabled
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%u /proc/%s", main) != "0"
    assert exposure(UNIT) <= 2.5
