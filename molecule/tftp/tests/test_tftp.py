"""Ask the TFTP server as a phone does and as a stranger does, for what is there and for what must not be."""

import base64
import socket
import struct
from collections.abc import Iterator

import pytest
from scenario_fixtures import Converge, Exposure, Refused
from testinfra.host import Host

UNIT = "centralino-tftp.service"
YEALINK = b"#!version:1.0.0.1\nstatic.auto_provision.server.url = https://phones.example.com/%MAC\\n/\n"
READ, WRITE, DATA, ACKNOWLEDGE, ERROR = 1, 2, 3, 4, 5
"""RFC 1350, section 5."""
BLOCK = 512
NOT_FOUND, VIOLATION = 1, 2

CLIENT = """
import base64, socket, struct, sys
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 0))
udp.settimeout(2)
udp.sendto(base64.b64decode(sys.argv[3]), (sys.argv[2], 69))
print(base64.b64encode(udp.recv(2048)).decode())
"""


def request(kind: int, name: str) -> bytes:
    """Return a request to read or to write a file."""
    return struct.pack("!H", kind) + name.encode() + b"\0octet\0"


def ask(address: str, question: bytes, port: int = 69) -> bytes:
    """Return the first answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(question, (address, port))
        return udp.recv(2048)


def get(address: str, name: str) -> bytes:
    """Return a file. Raises PermissionError or FileNotFoundError, as the server answers."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.sendto(request(READ, name), (address, 69))
        content, block = b"", 1
        while True:
            answer, server = udp.recvfrom(2048)
            kind, number = struct.unpack("!HH", answer[:4])
            if kind == ERROR:
                raise FileNotFoundError if number == NOT_FOUND else PermissionError
            assert (kind, number) == (DATA, block)
            content += answer[4:]
            udp.sendto(struct.pack("!HH", ACKNOWLEDGE, number), server)
            if len(answer) < BLOCK + 4:
                return content
            block += 1


@pytest.fixture
def other_networks(host: Host) -> Iterator[Host]:
    """Put two clients behind the guest: .77 is in a network that may read, .177 is not."""
    for command in (
        "ip netns add phones",
        "ip link add near type veth peer name far netns phones",
        "ip address add 192.0.2.1/24 dev near",
        "ip link set near up",
        "ip -n phones address add 192.0.2.77/24 dev far",
        "ip -n phones address add 192.0.2.177/24 dev far",
        "ip -n phones link set far up",
    ):
        host.check_output(command)
    yield host
    host.check_output("ip link delete near; ip netns delete phones")


@pytest.mark.parametrize("name", ["yealink.cfg", "/yealink.cfg", "y000000000035.cfg", "Y0000000000C4.CFG", "y01.boot"])
def test_a_phone_is_told_where_to_go(address: str, name: str) -> None:
    assert get(address, name) == YEALINK


def test_a_file_of_many_blocks_arrives_whole(address: str) -> None:
    assert get(address, "large.txt") == b"0123456789abcdef" * 200


@pytest.mark.parametrize(
    "name",
    ["nothing.cfg", "y00000000003.cfg", "y/etc/x.boot", "../etc/passwd", "/../../etc/passwd", "/etc/passwd", "."],
)
def test_there_is_nothing_else(address: str, name: str) -> None:
    with pytest.raises((FileNotFoundError, PermissionError)):
        get(address, name)


@pytest.mark.parametrize("name", ["yealink.cfg", "new.cfg", "../tmp/new.cfg"])
def test_nobody_writes(host: Host, address: str, name: str) -> None:
    kind, _ = struct.unpack("!HH", ask(address, request(WRITE, name))[:4])
    assert kind == ERROR
    assert sorted(host.file("/srv/tftp").listdir()) == ["large.txt", "yealink.cfg"]
    assert host.file("/srv/tftp/yealink.cfg").content == YEALINK


def test_only_the_networks_that_are_named_are_answered(other_networks: Host) -> None:
    question = base64.b64encode(request(READ, "yealink.cfg")).decode()
    command = "ip netns exec phones python3 -c %s %s 192.0.2.1 %s"
    phone = other_networks.check_output(command, CLIENT, "192.0.2.77", question)
    assert base64.b64decode(phone)[4:] == YEALINK
    stranger = other_networks.run(command, CLIENT, "192.0.2.177", question)
    assert "TimeoutError" in stranger.stderr


def test_files_come_and_go_with_the_inventory(host: Host, address: str, converge: Converge) -> None:
    converge(tftp_files=[{"name": "new.cfg", "content": "new"}])
    try:
        assert get(address, "new.cfg") == b"new"
        with pytest.raises(FileNotFoundError):
            get(address, "yealink.cfg")
    finally:
        converge()
    assert sorted(host.file("/srv/tftp").listdir()) == ["large.txt", "yealink.cfg"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"tftp_networks": []}, "the networks that phones are in"),
        ({"tftp_networks": ["198.18.0.0/33"]}, "the networks that phones are in"),
        ({"tftp_listen_address": "pbx01"}, "an address of its own"),
        ({"tftp_files": [{"name": "x", "content": "x" * 3501}]}, "has more than 3500 characters"),
        ({"tftp_files": [{"name": "../x", "content": ""}]}, "give each file a name of its own"),
        (
            {"tftp_files": [{"name": "x", "content": ""}, {"name": "x", "content": "1"}]},
            "give each file a name of its own",
        ),
        ({"tftp_files": [{"name": "x", "content": "", "answers_to": ["(["]}]}, "answers_to may have * and ? too"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, address: str, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    before = host.check_output("systemctl show --property MainPID,NeedDaemonReload %s", UNIT)
    assert sentence in refused(variables)
    assert host.check_output("systemctl show --property MainPID,NeedDaemonReload %s", UNIT) == before
    assert get(address, "yealink.cfg") == YEALINK


def test_the_first_request_after_a_start_is_answered(host: Host, address: str) -> None:
    host.check_output("systemctl restart %s", UNIT)
    assert get(address, "yealink.cfg") == YEALINK


def test_it_tells_who_asked(host: Host, address: str) -> None:
    get(address, "y01.boot")
    said = host.check_output("journalctl --identifier in.tftpd --lines 5 --output cat --no-pager")
    assert "RRQ from 198.18.0.1 filename y01.boot" in said


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("centralino-tftp").is_enabled
    assert host.service("tftpd-hpa").is_masked
    main = host.check_output("systemctl show --value --property MainPID %s", UNIT)
    assert host.check_output("stat --format %%U /proc/%s", main) == "tftp"
    assert exposure(UNIT) <= 2.5
