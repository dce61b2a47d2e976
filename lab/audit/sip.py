"""SIPVicious at every telephone exchange, as a stranger with time would."""

from collections.abc import Iterator

from lab.audit.auditor import STRANGER, Auditor
from lab.audit.verdict import Verdict

NUMBERS = "100-199"
"""The demo tenants' extensions are among them, and among the first twenty, after which the stranger is banned."""
GUESSES = "1000-1200"


def check(auditor: Auditor) -> Iterator[Verdict]:
    """Look for extensions by their numbers: every answer has to be the same as for one that is not there."""
    for guest in auditor.cluster.members("pbx"):
        address = auditor.cluster.address(guest)
        seen = auditor.run(f"svmap-{guest}.txt", "svmap", address)
        yield Verdict(
            "sip", f"svmap {guest}", "answers" if address in seen else "silent", "says no version", _named(seen)
        )
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            _lift(auditor)
            found = auditor.run(f"svwar-{guest}-{method}.txt", "svwar", "--force", "-e", NUMBERS, "-m", method, address)
            lines = [line.strip("| ") for line in found.splitlines() if line.startswith("| 1")]
            yield Verdict("sip", f"svwar {method} {guest}", f"{len(lines)} extensions found", "none", lines)
        _lift(auditor)
        cracked = auditor.run(f"svcrack-{guest}.txt", "svcrack", "-u", "100", "-r", GUESSES, address, seconds=60)
        banned = STRANGER in _on_the_list(auditor)
        findings = [] if banned else [f"svcrack went on: {cracked.splitlines()[-1]}"]
        yield Verdict("sip", f"svcrack {guest}", "banned" if banned else "not banned", "banned", findings)
    _lift(auditor)


def _on_the_list(auditor: Auditor) -> str:
    return auditor.cluster.ssh(auditor.cluster.members("web")[0], "centralino ban list")


def _lift(auditor: Auditor) -> None:
    """Let the stranger in again: each attack begins anew."""
    auditor.cluster.ssh(auditor.cluster.members("web")[0], f"centralino ban lift {STRANGER}")


def _named(seen: str) -> list[str]:
    return [f"it says what it is: {line.strip('| ')}" for line in seen.splitlines() if "Asterisk" in line]
