"""SIPVicious at every telephone exchange, as a stranger with time would."""

from collections.abc import Iterator

from lab.audit.auditor import Auditor
from lab.audit.verdict import Verdict

NUMBERS = "100-199"
"""The demo tenants' extensions are among them."""


def check(auditor: Auditor) -> Iterator[Verdict]:
    """Look for extensions by their numbers: every answer has to be the same as for one that is not there."""
    for guest in auditor.cluster.hosts:
        if "pbx" not in auditor.cluster.hosts[guest]["group_names"]:
            continue
        address = auditor.cluster.address(guest)
        seen = auditor.run(f"svmap-{guest}.txt", "svmap", address)
        yield Verdict(
            "sip", f"svmap {guest}", "answers" if address in seen else "silent", "says no version", _named(seen)
        )
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            found = auditor.run(f"svwar-{guest}-{method}.txt", "svwar", "--force", "-e", NUMBERS, "-m", method, address)
            lines = [line.strip("| ") for line in found.splitlines() if line.startswith("| 1")]
            yield Verdict("sip", f"svwar {method} {guest}", f"{len(lines)} extensions found", "none", lines)


def _named(seen: str) -> list[str]:
    return [f"it says what it is: {line.strip('| ')}" for line in seen.splitlines() if "Asterisk" in line]
