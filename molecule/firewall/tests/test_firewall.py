"""Ask a machine that the role ``firewall`` was applied to, from outside of it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from scenario_fixtures import Exposure, within
from testinfra.host import Host

ECHO = """
import asyncio

async def answer(reader, writer):
    while word := await reader.read(99):
        writer.write(word)
    writer.close()

class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, word, sender):
        self.transport.sendto(word, sender)

async def main():
    loop = asyncio.get_running_loop()
    for port in (8001, 8002):
        await loop.create_datagram_endpoint(Datagrams, ("0.0.0.0", port))
    for port in (8001, 8002, 8003, 8004, 9000, 9010, 9011, 9100):
        await asyncio.start_server(answer, "0.0.0.0", port)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""A service that sends back what it is sent."""

BAN_SECONDS = 8


@pytest.fixture(autouse=True)
def echo(host: Host) -> None:
    """Have something listen behind the firewall."""
    if host.service("molecule-echo").is_running:
        return
    host.check_output("systemd-run --quiet --unit=molecule-echo python3 -c %s", ECHO)
    listening = within(20, lambda: host.socket("tcp://0.0.0.0:9100").is_listening)
    assert listening, host.check_output("journalctl --unit=molecule-echo")


@pytest.fixture
def no_bans(host: Host) -> Iterator[None]:
    """Begin and end without bans."""
    host.check_output("nft flush set inet centralino bans4")
    yield
    host.check_output("nft flush set inet centralino bans4")


def answers(connection: socket.socket, word: bytes = b"still there?") -> bool:
    """Send a word and tell whether it comes back within a second."""
    connection.settimeout(1)
    try:
        connection.sendall(word)
        return connection.recv(99).endswith(word)
    except TimeoutError:
        return False


def connects(address: str, port: int) -> bool:
    """Tell whether the port takes a connection; refused is not dropped, and an error here."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("port", [22, 8001, 9000, 9010, 9100])
def test_an_open_port_answers(address: str, port: int) -> None:
    assert connects(address, port)


@pytest.mark.parametrize("port", [8002, 9011])
def test_a_port_that_no_rule_names_is_silent(address: str, port: int) -> None:
    assert not connects(address, port)


def test_a_port_that_is_open_to_others_is_silent(address: str) -> None:
    assert not connects(address, 8003)


def test_datagrams_come_in_where_a_rule_names_the_port(address: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.connect((address, 8001))
        assert answers(udp)
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.connect((address, 8002))
        assert not answers(udp)


def test_an_address_has_so_many_connections_at_once_and_another_when_one_ends(address: str) -> None:
    def open_one() -> socket.socket:
        return stack.enter_context(socket.create_connection((address, 8004), timeout=1))

    with ExitStack() as stack:
        first, *_ = [open_one() for _ in range(3)]
        with pytest.raises(TimeoutError):
            open_one()
        assert answers(first), "those that are there go on"
        assert connects(address, 8001), "another port is not limited"
        first.close()
        assert within(5, lambda: connects(address, 8004))


def test_the_machine_itself_reaches_its_own_ports_and_others(host: Host) -> None:
    ask = "import socket; socket.create_connection((%r, %d), timeout=2)"
    assert host.run("python3 -c %s", ask % ("127.0.0.1", 8002)).rc == 0
    assert host.run("python3 -c %s", ask % ("198.18.0.1", 22)).stderr.count("TimeoutError") == 0


@pytest.mark.usefixtures("no_bans")
def test_a_ban_ends_an_established_connection_at_once_and_runs_out(host: Host, address: str) -> None:
    with socket.create_connection((address, 8001), timeout=2) as connection:
        assert answers(connection)
        own = connection.getsockname()[0]
        # It cuts off the tests' own SSH connection too, which is why it starts when this command has answered.
        ban = f"nft add element inet centralino bans4 '{{ {own} timeout {BAN_SECONDS}s }}'"
        host.check_output("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=1ms sh -c %s", ban)
        assert within(5, lambda: not answers(connection)), "the established connection outlives the ban"
        assert not connects(address, 8001), "a new connection comes through the ban"
        assert within(2 * BAN_SECONDS, lambda: connects(address, 8001)), "the ban does not run out"


@pytest.mark.usefixtures("no_bans")
def test_some_are_never_banned(host: Host) -> None:
    ask = "import socket; socket.create_connection(('127.0.0.1', 8001), timeout=1, source_address=(%r, 0))"
    host.check_output("nft add element inet centralino bans4 '{ 127.0.0.7, 127.0.0.9 }'")
    assert host.run("python3 -c %s", ask % "127.0.0.9").rc == 0
    assert "TimeoutError" in host.run("python3 -c %s", ask % "127.0.0.7").stderr


@pytest.mark.usefixtures("no_bans")
def test_a_reload_keeps_bans_connections_and_other_tables(host: Host, address: str) -> None:
    host.check_output("nft add element inet centralino bans4 '{ 192.0.2.7 timeout 1h }'")
    host.check_output("nft add table ip molecule")
    with socket.create_connection((address, 8001), timeout=2) as connection:
        assert answers(connection)
        host.check_output("systemctl reload centralino-firewall")
        assert answers(connection)
    assert "192.0.2.7 timeout 1h expires 59m" in host.check_output("nft list set inet centralino bans4")
    assert host.run("nft delete table ip molecule").rc == 0, "the reload took another's table away"
    assert not connects(address, 8002)


@pytest.mark.usefixtures("no_bans")
def test_bans_come_back_after_a_restart(host: Host) -> None:
    host.check_output("nft add element inet centralino bans4 '{ 192.0.2.7 timeout 1h, 192.0.2.8 }'")
    host.check_output("nft add element inet centralino bans6 '{ 2001:db8::7 timeout 2h }'")
    host.check_output("systemctl restart centralino-firewall")
    assert "192.0.2.8" in host.check_output("nft list set inet centralino bans4")
    assert "192.0.2.7 timeout 1h expires 59m" in host.check_output("nft list set inet centralino bans4")
    assert "2001:db8::7 timeout 2h expires 1h59m" in host.check_output("nft list set inet centralino bans6")
    host.check_output("nft flush set inet centralino bans6")


@pytest.mark.usefixtures("no_bans")
def test_bans_that_were_saved_come_back_after_power_was_lost(host: Host) -> None:
    host.check_output("nft add element inet centralino bans4 '{ 192.0.2.9 timeout 1h }'")
    host.check_output("systemctl start centralino-firewall-bans.service")
    # Gone with the kernel, and no time to save.
    host.check_output("nft delete table inet centralino; systemctl restart centralino-firewall")
    assert "192.0.2.9" in host.check_output("nft list set inet centralino bans4")
    assert host.service("centralino-firewall-bans.timer").is_running


@pytest.mark.usefixtures("no_bans")
def test_an_unreadable_file_of_bans_leaves_the_firewall_up(host: Host, address: str) -> None:
    host.check_output("systemctl stop centralino-firewall")
    host.check_output("echo nonsense > /var/lib/centralino-firewall/bans.nft")
    host.check_output("systemctl start centralino-firewall")
    assert host.service("centralino-firewall").is_running
    assert not connects(address, 8002)


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "sip", "protocol": "tcp", "ports": ["5061"]},
        {"name": "ssh", "protocol": "tcp", "ports": ["22"], "sources": ["198.18.0.2", "2001:db8::/32"]},
    ],
)
def test_rules_that_would_lock_ansible_out_are_refused(
    converge: Callable[..., str], address: str, rule: dict[str, object]
) -> None:
    said = converge(fails=True, firewall_rules=[rule])
    assert "firewall_rules has no rule for port 22/tcp from 198.18.0.1, through which" in " ".join(said.split())
    assert connects(address, 22)


def test_a_limit_that_is_none_is_refused(converge: Callable[..., str]) -> None:
    ssh = {"name": "ssh", "protocol": "tcp", "ports": ["22"], "connections": -1}
    said = " ".join(converge(fails=True, firewall_rules=[ssh]).split())
    assert 'The rule "ssh" in firewall_rules of molecule-firewall allows -1 connections an address: give it' in said


@pytest.fixture
def strangers(host: Host) -> Iterator[Host]:
    """Put a stranger behind the confined interface, and a machine beyond that knows no way to him."""
    for command in (
        "ip netns add stranger",
        "ip link add strangers type veth peer name far netns stranger",
        "ip address add 192.0.2.1/24 dev strangers",
        "ip link set strangers up",
        "ip -n stranger address add 192.0.2.77/24 dev far",
        "ip -n stranger link set far up",
        "ip -n stranger route add default via 192.0.2.1",
        "ip netns add beyond",
        "ip link add near type veth peer name far netns beyond",
        "ip address add 203.0.113.1/24 dev near",
        "ip link set near up",
        "ip -n beyond address add 203.0.113.5/24 dev far",
        "ip -n beyond link set far up",
        "ip -n beyond link set lo up",
    ):
        host.check_output(command)
    host.check_output("systemd-run --quiet --unit=molecule-beyond ip netns exec beyond python3 -c %s", ECHO)
    assert within(20, lambda: "9010" in host.check_output("ip netns exec beyond ss -Hltn"))
    yield host
    host.check_output("systemctl stop molecule-beyond; ip link delete strangers; ip link delete near")
    host.check_output("ip netns delete stranger; ip netns delete beyond")


KNOCK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as connection:
    connection.sendall(b"still there?")
    print(connection.recv(99).decode())
"""


def test_a_stranger_reaches_what_is_named_for_him_alone(strangers: Host, address: str) -> None:
    def reaches(where: str, port: int) -> bool:
        knock = strangers.run("ip netns exec stranger python3 -c %s %s %s", KNOCK, where, str(port))
        return knock.stdout == "still there?\n"

    assert reaches("192.0.2.1", 8002), "a port here, though it is closed to everybody else"
    assert reaches("203.0.113.5", 9010), "beyond, where nobody knows a way back to him"
    assert not reaches("192.0.2.1", 8001), "open to everybody else"
    assert not reaches(address, 8002), "another address of this machine"
    assert not reaches("203.0.113.5", 8002)
    assert not reaches(address, 22)


def test_who_is_beyond_does_not_reach_a_stranger(strangers: Host) -> None:
    strangers.check_output("ip -n beyond route add 192.0.2.0/24 via 203.0.113.1")
    strangers.check_output("systemd-run --quiet --unit=molecule-inside ip netns exec stranger python3 -c %s", ECHO)
    assert within(20, lambda: "9010" in strangers.check_output("ip netns exec stranger ss -Hltn"))
    knock = strangers.run("ip netns exec beyond python3 -c %s 192.0.2.77 9010", KNOCK)
    strangers.check_output("systemctl stop molecule-inside")
    assert "TimeoutError" in knock.stderr or "timed out" in knock.stderr


def test_it_starts_at_boot_alone(host: Host) -> None:
    assert host.service("centralino-firewall").is_enabled
    assert not host.service("nftables").is_enabled


def test_the_service_is_sandboxed(exposure: Exposure) -> None:
    assert exposure("centralino-firewall.service") <= 2.5
