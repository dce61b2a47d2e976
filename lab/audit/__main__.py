"""``python -m lab.audit``: every check, as a table; exit code 1 where a finding has no written reason."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab import host
from lab.audit import hardening, ports, sip, ssh, tls
from lab.audit.auditor import Auditor
from lab.audit.verdict import Verdict
from lab.cluster import Cluster
from lab.errors import LabError
from lab.paths import CHECKOUT, Paths
from lab.podman import Podman

REPORTS = CHECKOUT / ".build" / "audit"
CHECKS: dict[str, Callable[[Auditor], Iterator[Verdict]]] = {
    "ports": ports.check,
    "lynis": hardening.check_lynis,
    "exposure": hardening.check_exposure,
    "tls": tls.check,
    # last: sshd shuts out who probes it for a while, and an attack may end in a ban
    "ssh": ssh.check,
    "sip": sip.check,
}

console = Console(highlight=False)


def audit(
    inventory: Annotated[Path, typer.Option(help="The cluster to look at.")],
    check: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(CHECKS)}; all where none is named.")] = None,
) -> None:
    """Look at the running lab cluster from outside."""
    if unknown := set(check or ()) - set(CHECKS):
        raise LabError(f"there is no check {', '.join(sorted(unknown))}: there is {', '.join(CHECKS)}")
    shutil.rmtree(REPORTS, ignore_errors=True)
    paths = Paths.default()
    verdicts: list[Verdict] = []
    with Auditor(Cluster(inventory), Podman(host.detect(), paths), paths, REPORTS) as auditor:
        for name in check or CHECKS:
            began = time.monotonic()
            console.print(f"… {name}")
            verdicts += CHECKS[name](auditor)
            console.print(f"  {time.monotonic() - began:.0f} s")
    console.print(table(verdicts))
    for verdict in verdicts:
        for finding in verdict.findings:
            why = verdict.reason(finding) or "[red]no reason is written in lab/audit/accepted.yml[/red]"
            console.print(f"{verdict.check}, {verdict.place}: {finding}\n    stays: {why}", soft_wrap=True)
    console.print(f"what each tool said is in {REPORTS.relative_to(CHECKOUT)}/")
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def table(verdicts: list[Verdict]) -> Table:
    """Return the verdicts as a table."""
    made = Table("check", "place", "measured", "target", "", box=None, pad_edge=False)
    for verdict in verdicts:
        accepted = len(verdict.findings) - len(verdict.open)
        note = "[green]✔[/green]" if verdict.passed else "[red]✘[/red]"
        made.add_row(
            verdict.check,
            verdict.place,
            verdict.measured,
            verdict.target,
            f"{note} {accepted} stay" if accepted else note,
        )
    return made


if __name__ == "__main__":
    try:
        typer.run(audit)
    except LabError as error:
        sys.exit(f"lab: {error}")
