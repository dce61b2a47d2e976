"""Open ports, from each network, against the table in docs/architecture.md: none missing, none more."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.audit.auditor import VANTAGES, Auditor
from lab.audit.verdict import Verdict
from lab.errors import LabError
from lab.paths import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "architecture.md"
ROW = re.compile(r"^\| ([\w ]+) \| (\d+)(?:\u2013(\d+))?/(tcp|udp) \| ([\w ]+) \| .* \|$", re.MULTILINE)
UDP = "53,67,69,111,123,137,161,500,514,1194,1900,3478,4500,4569,5060,5353"
"""Where a service that should not be there would be found; a range such as RTP's is open while a call lasts."""

# A port from which nothing else on this machine connects, so that what a scan leaves behind can be told apart.
_FROM = 20000
# The guests are one bridge away: what has not answered a second probe within 0.1 s will not. nmap alone would take the
# silence of a firewall for a slow line.
_TCP = ["nmap", "-n", "-Pn", "-sS", "-p-", "-g", str(_FROM), "--min-rate", "15000", "--max-retries", "1",
        "--max-rtt-timeout", "100ms", "-oG", "-"]  # fmt: skip
# Only an answer counts: a firewall that drops and a silent service look the same. nmap asks in each port's words.
_UDP = ["nmap", "-n", "-Pn", "-sU", "-p", UDP, "--min-rate", "20", "--max-retries", "2", "-oG", "-"]
_OPEN = re.compile(r"(\d+)/open/(tcp|udp)")


@dataclass(frozen=True)
class Documented:
    """A row of the table."""

    group: str
    port: str
    """Number and protocol, such as ``5061/tcp``."""
    network: str


def documented() -> list[Documented]:
    """Return the table's single ports."""
    return [
        Documented(group, f"{first}/{protocol}", network)
        for group, first, last, protocol, network in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
        if not last
    ]


def expected(groups: set[str], network: str, table: list[Documented]) -> set[str]:
    """Return the ports that a guest of these function groups has open to a network."""
    return {
        row.port
        for row in table
        if (row.group in groups or row.group == "every guest") and row.network in {"everybody", network}
    }


def check(auditor: Auditor) -> Iterator[Verdict]:
    """Scan every guest from every network."""
    table = documented()
    for guest in auditor.cluster.hosts:
        groups = auditor.cluster.groups(guest)
        for network, address in [*VANTAGES.items(), ("management", "")]:
            found = _scan(auditor, guest, network, address)
            due = expected(groups, network, table)
            if network == "management":  # the lab's gateway is in the guests' network too
                due |= expected(groups, "guests", table)
            findings = [f"{port} is open to {network} and not documented" for port in sorted(found - due)]
            findings += [
                f"{port} is documented as open to {network} and does not answer" for port in sorted(due - found)
            ]
            yield Verdict(
                "ports", f"{guest} from {network}", ", ".join(sorted(found)) or "none", "as documented", findings
            )


def _scan(auditor: Auditor, guest: str, network: str, address: str) -> set[str]:
    target = auditor.cluster.address(guest)
    found: set[str] = set()
    try:
        for protocol, command in (("tcp", _TCP), ("udp", _UDP)):
            report = f"nmap-{guest}-{network}-{protocol}.txt"
            if network == "management":
                said = auditor.run_as_management(report, *command, target)
            else:
                said = auditor.run(report, *command, "-S", address, "-e", "eth0", target)
            if "# Nmap done" not in said:
                raise LabError(f"{report}: nmap did not end its scan: {said.strip().splitlines()[-1]}")
            found |= {f"{port}/{kind}" for port, kind in _OPEN.findall(said)}
    finally:
        auditor.forget(guest, _FROM)
    return found
