"""ssh-audit at every guest, from where ops log in."""

from collections.abc import Iterator

from lab.audit.auditor import Auditor
from lab.audit.verdict import Verdict


def check(auditor: Auditor) -> Iterator[Verdict]:
    """Ask for algorithms and keys; what ssh-audit would warn of is a finding."""
    for guest in auditor.cluster.hosts:
        said = auditor.run_as_management(f"ssh-audit-{guest}.txt", "ssh-audit", "-n", auditor.cluster.address(guest))
        findings = [line for line in said.splitlines() if "[fail]" in line or "[warn]" in line]
        yield Verdict("ssh", guest, f"{len(findings)} warnings", "no fail, no warn", findings)
