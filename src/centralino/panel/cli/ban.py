"""``centralino ban …``."""

import os
from typing import Annotated

import typer
from rich.table import Table

from centralino.panel.cli.output import changed, out, person, sentences

app = typer.Typer(help="Addresses that every guest drops.", no_args_is_help=True)

_HOUR = 3600
_MOST_HOURS = 365 * 24
_WIDTH = 200
"""A line a ban, also where the output is no terminal."""
_MINUTE = "%Y-%m-%d %H:%M"


@app.command("list")
def list_() -> None:
    """List who is banned, why, since when and until when (UTC), and which guest saw it."""
    from centralino.panel.services import bans  # noqa: PLC0415 - models need Django set up

    table = Table("address", "since", "until", "part", "guest", "why", box=None, pad_edge=False)
    with sentences():
        for ban in bans.in_force():
            times = (f"{ban.since:{_MINUTE}}", f"{ban.until:{_MINUTE}}")
            table.add_row(ban.address, *times, ban.part, ban.guest, ban.reason)
    out.width = max(out.width, _WIDTH)
    out.print(table)


@app.command()
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="One address, of IPv4 or IPv6.")],
    hours: Annotated[int, typer.Option("--hours", min=1, max=_MOST_HOURS, help="For how long.")] = 24,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks at the list.")] = "banned by hand",
) -> None:
    """Ban ADDRESS on the whole cluster, within two seconds."""
    from centralino.panel.services import bans  # noqa: PLC0415

    with sentences():
        ban = bans.add(address, seconds=hours * _HOUR, reason=reason, by=person(), own=_own_addresses())
    out.print(f"{ban.address}: banned until {ban.until:{_MINUTE}} UTC")
    changed(True)


@app.command()
def lift(address: Annotated[str, typer.Argument(metavar="ADDRESS", help="As `centralino ban list` shows it.")]) -> None:
    """Let ADDRESS in again, at once and everywhere."""
    from centralino.panel.services import bans  # noqa: PLC0415

    with sentences():
        lifted = bans.lift(address, by=person())
    out.print(f"{address}: {'lifted' if lifted else 'is not banned'}")
    changed(lifted)


def _own_addresses() -> list[str]:
    """Return where the person's SSH session comes from, where the environment tells (ssh(1))."""
    return os.environ.get("SSH_CONNECTION", "").split()[:1]
