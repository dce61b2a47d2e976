"""VPN clients on the guest itself, each in a network of its own, all of them on one switch outside of the server."""

import shlex
from dataclasses import dataclass

from scenario_fixtures import within
from testinfra.host import Host

ECHO = """
import asyncio, sys

async def answer(reader, writer):
    writer.write(writer.get_extra_info("peername")[0].encode())
    writer.close()

class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, word, sender):
        self.transport.sendto(sender[0].encode(), sender)

async def main():
    for port in (16000, 5090):
        await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("0.0.0.0", port))
    for port in (443, 8001, 8443):
        await asyncio.start_server(answer, "0.0.0.0", port)
    await asyncio.Event().wait()

asyncio.run(main())
"""
"""A service that tells who asked."""

ASK = """
import socket, sys
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[1]]
with socket.socket(type=kind) as question:
    question.settimeout(1.5)
    question.connect((sys.argv[2], int(sys.argv[3])))
    if kind == socket.SOCK_DGRAM:
        question.send(b"who am I?")
    print(question.recv(99).decode())
"""

SWITCH = (
    "ip link add outside type bridge",
    "ip address add 203.0.113.1/24 dev outside",
    "ip link set outside up",
    "ip netns add beyond",
    "ip link add near type veth peer name far netns beyond",
    "ip address add 192.0.2.1/24 dev near",
    "ip link set near up",
    "ip -n beyond address add 192.0.2.31/24 dev far",
    "ip -n beyond address add 192.0.2.32/24 dev far",
    "ip -n beyond link set far up",
)
"""Outside, where clients are, and a machine beyond the server that knows no way to the VPN's network."""


@dataclass
class Client:
    """OpenVPN in a network of its own, with one profile."""

    host: Host
    name: str
    number: int
    """Its last byte outside: 203.0.113.<number>."""

    @property
    def unit(self) -> str:
        """The systemd unit that it runs in."""
        return f"client-{self.name}"

    def appear(self) -> None:
        """Plug it in."""
        for command in (
            f"ip netns add {self.name}",
            f"ip link add to-{self.name} master outside type veth peer name far netns {self.name}",
            f"ip link set to-{self.name} up",
            f"ip -n {self.name} address add 203.0.113.{self.number}/24 dev far",
            f"ip -n {self.name} link set far up",
        ):
            self.host.check_output(command)

    def vanish(self) -> None:
        """Stop it and unplug it."""
        self.stop()
        self.host.check_output(f"ip link delete to-{self.name}; ip netns delete {self.name}")

    def start(self, profile: str, *options: str) -> None:
        """Begin to connect."""
        self.stop()
        self.host.check_output(f"umask 077; printf %s {shlex.quote(profile)} > /run/{self.name}.ovpn")
        words = " ".join(options)
        self.host.check_output(
            f"systemd-run --quiet --collect --unit={self.unit} ip netns exec {self.name} openvpn --suppress-timestamps "
            f"--config /run/{self.name}.ovpn --connect-retry 1 1 --connect-timeout 10 {words}"
        )

    def stop(self) -> None:
        """End it where it runs."""
        self.host.run(f"systemctl stop {self.unit}")

    def said(self, word: str) -> bool:
        """Tell whether its log holds a word since it was started last."""
        invocation = self.host.check_output(f"systemctl show --value --property=InvocationID {self.unit}")
        log = self.host.check_output(f"journalctl --output=cat --no-pager _SYSTEMD_INVOCATION_ID={invocation}")
        return word in log

    def connected(self, seconds: float = 15) -> bool:
        """Wait until it is connected, and tell whether it is."""
        return within(seconds, lambda: self.said("Initialization Sequence Completed"))

    @property
    def address(self) -> str:
        """What it was given inside the VPN."""
        told = self.host.check_output(f"ip -n {self.name} -4 -o address show dev tun0")
        return told.split()[3].split("/")[0]

    def ask(self, protocol: str, where: str, port: int) -> str:
        """Ask a service who one is; empty where no answer comes."""
        words = shlex.join(["python3", "-c", ASK, protocol, where, str(port)])
        return self.host.run(f"ip netns exec {self.name} {words}").stdout.strip()
