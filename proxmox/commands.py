"""The commands ``plan``, ``apply`` and ``variables``."""

import argparse
import json
import sys

from proxmox import apply, session, show, ssh
from proxmox.errors import ProvisionerError
from proxmox.session import Session

OK, TO_DO = 0, 2


def plan(options: argparse.Namespace) -> int:
    """Show what there is to do; 2 where there is something."""
    opened = session.reading(options)
    _, made = opened.look(move=options.move)
    if options.json:
        session.write(json.dumps(show.plan_data(made), indent=1))
    else:
        show.print_plan(sys.stdout, session.title(opened.cluster), made)
    return OK if made.empty else TO_DO


def carry_out(options: argparse.Namespace) -> int:
    """Make the cluster as the inventory wants it."""
    if options.check:
        return plan(options)
    with session.writing(options) as opened:
        # Everything that can be refused is refused before the first change, which may be the key pair.
        opened.look(move=options.move)
        made_key = [
            ssh.ensure_key(access, f"centralino-{opened.cluster.name}")
            for access in {guest.access.private_key: guest.access for guest in opened.cluster.guests}.values()
        ]
        if any(made_key):
            whole = session.load(options)
            return _apply(
                Session(options, whole, session.limited(whole, options.limit), opened.api, opened.journal),
                made_key=True,
            )
        return _apply(opened, made_key=False)


def _apply(opened: Session, *, made_key: bool) -> int:
    cluster, options = opened.cluster, opened.options
    works = [template.name for template in cluster.templates] + [guest.name for guest in cluster.guests]
    found, made = opened.look(move=options.move)
    if not options.json:
        show.print_plan(sys.stdout, session.title(cluster), made)
    with show.Lines(works) as lines:
        outcomes = apply.apply(opened.api, cluster, found, lines, move=options.move)
    changed = any(outcome.changed for outcome in outcomes) or made_key
    errors = [sentence for outcome in outcomes if outcome.error for sentence in outcome.error.sentences]
    if options.json:
        session.write(json.dumps(show.outcome_data(made, outcomes), indent=1))
    else:
        session.write_changed(changed)
    opened.api.go_on()
    if errors:
        raise ProvisionerError(*dict.fromkeys(errors))
    return OK


def variables(_: argparse.Namespace) -> int:
    """List the inventory's variables."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from proxmox.variables import PREFIX, Variables  # noqa: PLC0415

    table = Table("variable", "default", "meaning", box=None)
    for name, field in Variables.model_fields.items():
        default = (
            "[red]required[/red]" if field.is_required() else "" if field.default in (None, ()) else str(field.default)
        )
        table.add_row(f"{PREFIX}{name}", default, field.description)
    Console(highlight=False).print(table)
    return OK
