"""A phone on one of the guest's virtual cables: a real DHCP client's question, and what it was told."""

from testinfra.host import Host

CONFIGURATION = """
option tftp-server-addresses code 150 = array of ip-address;
option vendor-text code 43 = text;
timeout 4;
send vendor-class-identifier "%s";
request subnet-mask, routers, domain-name-servers, domain-name, ntp-servers, vendor-text, tftp-server-name,
    bootfile-name, tftp-server-addresses;
"""
SCRIPT = """#!/bin/sh
case $reason in BOUND|REBOOT) env >/run/lease.told ;; esac
exit 0
"""
NAMES = {
    "new_ip_address": "address",
    "new_dhcp_lease_time": "lease",
    "new_subnet_mask": "netmask",
    "new_routers": "gateway",
    "new_domain_name_servers": "dns",
    "new_domain_name": "domain",
    "new_ntp_servers": "time",
    "new_vendor_text": "vendor",
    "new_tftp_server_name": "server",
    "new_bootfile_name": "file",
    "new_tftp_server_addresses": "servers",
}
"""What the client calls it, and what we do: options 3, 6, 15, 42, 43, 66, 67 and 150."""


def ask(host: Host, vendor_class: str, *, network: str = "voice", mac: str = "00:15:65:aa:bb:99") -> dict[str, str]:
    """Return what a phone of that class is told, empty where nobody answers."""
    host.check_output("printf %%s %s >/run/lease.conf", CONFIGURATION % vendor_class)
    host.check_output("printf %%s %s >/run/lease.sh && chmod 0755 /run/lease.sh && rm -f /run/lease.told", SCRIPT)
    host.check_output("ip -n %s link set phone address %s", network, mac)
    client = "dhclient -4 -1 -cf /run/lease.conf -sf /run/lease.sh -lf /run/lease.kept -pf /run/lease.pid phone"
    host.run(f"rm -f /run/lease.kept; timeout 10 ip netns exec {network} {client}; kill $(cat /run/lease.pid)")
    lines = [line.partition("=") for line in host.run("cat /run/lease.told").stdout.splitlines()]
    return {NAMES[name]: value for name, _, value in lines if name in NAMES}
