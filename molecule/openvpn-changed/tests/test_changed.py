"""The same role over TCP, on one address and another port, for one client."""

from datetime import UTC, datetime, timedelta

from scenario_fixtures import within
from testinfra.host import Host

NAMES = "ip netns exec client openvpn --suppress-timestamps --config /run/client.ovpn --connect-retry-max 1"


def test_a_client_connects_over_tcp(host: Host, address: str) -> None:
    for command in (
        "ip netns add client",
        "ip link add near type veth peer name far netns client",
        "ip address add 203.0.113.1/24 dev near",
        "ip link set near up",
        "ip -n client address add 203.0.113.11/24 dev far",
        "ip -n client link set far up",
        "ip -n client route add default via 203.0.113.1",
        "mkdir -p /etc/netns/client",
        f"echo '{address} vpn.example.org' > /etc/netns/client/hosts",
        "umask 077; centralino-vpn add desk --output /run/client.ovpn",
        f"systemd-run --quiet --unit=client {NAMES}",
    ):
        host.check_output(command)
    assert within(20, lambda: "Sequence Completed" in host.check_output("journalctl --unit=client"))
    assert "172.31.255.250" in host.check_output("ip -n client -4 -o address show dev tun0")
    assert "connected" in host.check_output("centralino-vpn list")
    host.check_output("systemctl stop client; ip link delete near; ip netns delete client; rm -r /etc/netns")


def test_it_listens_where_it_is_told_alone(host: Host, address: str) -> None:
    main = host.check_output("systemctl show --value --property MainPID centralino-openvpn")
    listening = [line.split()[4] for line in host.check_output("ss -Hlntup").splitlines() if f"pid={main}," in line]
    assert listening == [f"{address}:11940"]
    assert "172.31.255.249" in host.interface("phones").addresses


def test_periods(host: Host) -> None:
    end = host.check_output(
        "openssl crl -in /var/lib/centralino/vpn/crl.pem -noout -nextupdate -dateopt iso_8601 | cut -d= -f2"
    )
    left = datetime.fromisoformat(end) - datetime.now(UTC)
    assert timedelta(days=6) < left <= timedelta(days=7)
