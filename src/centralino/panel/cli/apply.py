"""``centralino apply``: make the stored configuration live."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from centralino.panel.cli.output import changed, err, out, person, sentences

if TYPE_CHECKING:
    from centralino.panel.services.results import ApplyState

_STYLES = {"live": "green", "pending": "yellow", "refused": "red", "reverted": "red"}


def apply(
    pbx: Annotated[
        list[str] | None, typer.Option("--pbx", metavar="NAME", help="Only this PBX; may be repeated.")
    ] = None,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, max=3600, help="Wait until every PBX has told its result."),
    ] = 0,
) -> None:
    """Publish the stored configuration to the PBX; with --wait, tell what became of it.

    What a PBX refused or went back from is tried again, changed or not.

    Exit code 1 where a PBX refused it, went back to the former release, or did not answer in time.
    """
    from centralino.panel.services import publish  # noqa: PLC0415 - models need Django set up

    with sentences():
        published = publish.publish_each(pbx or (), by=person())
        for name, (publication, new) in published.items():
            out.print(f"{name}: {publication.etag} {'published' if new else 'unchanged'}")
        problems = _follow(published, wait) if wait else []
    if problems:
        err.print(*(f"error: {problem}" for problem in problems), sep="\n", style="red")
    changed(any(new for _, new in published.values()))
    if problems:
        raise typer.Exit(1)


def _follow(pbxs: Collection[str], seconds: float) -> list[str]:
    """Show the results as they come; return a sentence for each PBX where it did not go well."""
    from centralino.panel.services import results  # noqa: PLC0415

    last: list[ApplyState] = []
    with err.status("waiting for the PBX …") as status:
        for last in results.follow(pbxs, seconds):
            open_ = [state.pbx for state in last if state.state == "pending"]
            status.update(f"waiting for {', '.join(open_)} …")
    problems = []
    for state in last:
        record = state.record
        if record is None:
            problems.append(
                f"{state.pbx}: no answer within {seconds:g} s: see `journalctl -u centralino-agent` on {state.pbx}"
            )
            continue
        took = f"{state.state} after {record.seconds:.1f} s"
        out.print(f"{state.pbx}: {took}", style=_STYLES.get(state.state))
        if state.state != "live":
            problems.append(f"{state.pbx}: {state.state}: {record.message or 'the agent told no reason'}")
    return problems
