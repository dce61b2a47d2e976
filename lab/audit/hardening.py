"""Each guest from inside: lynis' hardening index, and how confined systemd finds every service that runs."""

import re
from collections.abc import Iterator

from lab.audit.auditor import Auditor
from lab.audit.verdict import Verdict

INDEX = 85
"""Lynis' hardening index that each guest reaches."""
OURS, OTHERS = 2.5, 4.0
"""systemd-analyze's exposure that our services, and those of others that we run, have at most."""
_LYNIS_FILES = ("usr/sbin/lynis", "usr/share/lynis", "etc/lynis")
_LYNIS = (
    "cd usr/share/lynis; sh ../../sbin/lynis audit system --quick --no-colors --quiet"
    " --profile $place/etc/lynis/default.prf --plugindir $place/etc/lynis/plugins"
    " --logfile $place/log --report-file $place/report >/dev/null 2>&1; cat $place/report"
)
_EXPOSURE = re.compile(r"^(\S+)\.service\s+([\d.]+)\s", re.MULTILINE)
_PARTS = re.compile(r"^(nginx|postgresql@.*|asterisk|coturn|openvpn.*|postfix|ntpsec|fail2ban|rsyslog)$")
"""What the roles run beside Centralino's own services."""


def check_lynis(auditor: Auditor) -> Iterator[Verdict]:
    """Let lynis audit every guest; what it suggests is in its report."""
    for guest in auditor.cluster.hosts:
        report = auditor.carry(guest, _LYNIS_FILES, f"lynis-{guest}.txt", _LYNIS)
        found = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
        index = int(found[1]) if found else 0
        warnings = [f"warning: {line}" for line in re.findall(r"^warning\[\]=(.*)$", report, re.MULTILINE)]
        findings = [*([f"hardening index {index}"] if index < INDEX else []), *warnings]
        yield Verdict("lynis", guest, f"index {index}, {len(warnings)} warnings", f"≥ {INDEX}", findings)


def check_exposure(auditor: Auditor) -> Iterator[Verdict]:
    """Ask systemd of every service that runs on a guest."""
    for guest in auditor.cluster.hosts:
        rated = dict(_EXPOSURE.findall(auditor.cluster.ssh(guest, "systemd-analyze security --no-pager")))
        limits = {unit: limit for unit in rated if (limit := _limit(unit))}
        findings = [
            f"{unit}: {rated[unit]}, at most {limit}" for unit, limit in limits.items() if float(rated[unit]) > limit
        ]
        worst = max(limits, key=lambda unit: float(rated[unit]) / limits[unit])
        measured = f"{len(limits)} services; nearest to its limit {worst} {rated[worst]}"
        yield Verdict("exposure", guest, measured, f"≤ {OURS} ours, ≤ {OTHERS} others", findings)


def _limit(unit: str) -> float | None:
    if unit.startswith("centralino-"):
        return OURS
    return OTHERS if _PARTS.match(unit) else None
