"""``python -m proxmox``: plan, apply, variables.

Exit codes: 0 nothing to do or all done; 1 an error, one sentence each on standard error; 2 the plan has something to
do; 130 interrupted.
"""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from proxmox import inventory, reader
from proxmox.desired import Cluster
from proxmox.errors import InterruptedRunError, ProvisionerError

if TYPE_CHECKING:
    from proxmox.api import Api
    from proxmox.plan import Plan
    from proxmox.state import State

OK, FAILED, TO_DO, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is a sentence and never a traceback."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return int(options.run(options))
    except InterruptedRunError as error:
        _say(f"proxmox: {error}")
        return INTERRUPTED
    except ProvisionerError as error:
        for sentence in error.sentences:
            _say(f"proxmox: {sentence}")
        return FAILED
    except KeyboardInterrupt:
        _say("proxmox: interrupted; run the same command again")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away: `plan | head`
        with suppress(OSError):
            sys.stdout.close()
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proxmox", description="Makes the guests of an inventory on a Proxmox VE cluster."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("plan", _plan, "show what there is to do and change nothing; exit code 2 where there is something"),
        ("apply", _apply, "make the cluster as the inventory wants it"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "-i", "--inventory", required=True, metavar="PATH", help="the inventory's folder, as inventories/lab"
        )
        command.add_argument(
            "--limit", action="append", metavar="GUEST", help="this guest alone; may be given several times"
        )
        command.add_argument("--json", action="store_true", help="write JSON to standard output")
        command.set_defaults(run=run)
    command = commands.add_parser("variables", help="list the inventory's variables, their defaults and meanings")
    command.set_defaults(run=_variables)
    return parser


def _load(options: argparse.Namespace) -> Cluster:
    return reader.read(inventory.load(options.inventory))


def _limited(cluster: Cluster, names: Sequence[str] | None) -> Cluster:
    """Return the cluster with the named guests alone; a clash with one that is left out was found before."""
    if not names:
        return cluster
    wanted = {name for given in names for name in given.split(",") if name}
    unknown = wanted - {guest.name for guest in cluster.guests}
    if unknown:
        there = ", ".join(guest.name for guest in cluster.guests)
        raise ProvisionerError(f"--limit: {', '.join(sorted(unknown))} is no guest of this inventory: it has {there}")
    return dataclasses.replace(cluster, guests=tuple(guest for guest in cluster.guests if guest.name in wanted))


def _plan(options: argparse.Namespace) -> int:
    from proxmox import show  # noqa: PLC0415  (what needs the network's libraries is imported when the inventory has been found good)
    from proxmox.api import Api  # noqa: PLC0415

    cluster = _limited(_load(options), options.limit)
    api = Api(cluster.endpoint)
    _, plan = _look(api, cluster)
    if options.json:
        _write(json.dumps(show.plan_data(plan), indent=1))
    else:
        show.print_plan(sys.stdout, _title(cluster), plan)
    return OK if plan.empty else TO_DO


def _apply(options: argparse.Namespace) -> int:
    from proxmox import apply, converge, show, ssh  # noqa: PLC0415
    from proxmox.api import Api  # noqa: PLC0415

    cluster = _load(options)
    api = Api(cluster.endpoint)
    # Everything that can be refused is refused before the first change, which may be the key pair.
    _look(api, _limited(cluster, options.limit))
    made_key = [
        ssh.ensure_key(access, f"centralino-{cluster.name}")
        for access in {guest.access.private_key: guest.access for guest in cluster.guests}.values()
    ]
    if any(made_key):
        cluster = _load(options)
    cluster = _limited(cluster, options.limit)
    works = [template.name for template in cluster.templates] + [guest.name for guest in cluster.guests]
    converge.settle(api, apply.task_ids(cluster), 1800, lambda text: _say(f"waiting: {text}"))
    state, plan = _look(api, cluster)
    if not options.json:
        show.print_plan(sys.stdout, _title(cluster), plan)
    with show.Lines(works) as lines:
        outcomes = apply.apply(api, cluster, state, lines)
    changed = any(outcome.changed for outcome in outcomes) or any(made_key)
    errors = [sentence for outcome in outcomes if outcome.error for sentence in outcome.error.sentences]
    if options.json:
        _write(json.dumps(show.outcome_data(plan, outcomes), indent=1))
    else:
        _write(f"changed={'true' if changed else 'false'}")
    if errors:
        if api.stop.is_set():
            raise InterruptedRunError(
                "interrupted; what the cluster has begun goes on there: run the same command again"
            )
        raise ProvisionerError(*dict.fromkeys(errors))
    return OK


def _look(api: "Api", cluster: Cluster) -> "tuple[State, Plan]":
    from proxmox import plan, preflight, state  # noqa: PLC0415

    found = state.read(api.send, cluster.guests, cluster.templates)
    problems = preflight.problems(cluster, found)
    if problems:
        raise ProvisionerError(*problems)
    return found, plan.build(cluster, found)


def _variables(_: argparse.Namespace) -> int:
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


def _title(cluster: Cluster) -> str:
    return f"{cluster.name}: {len(cluster.guests)} guests, Proxmox at {cluster.endpoint.host}:{cluster.endpoint.port}"


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _as_interrupt(signal_number: int, _: object) -> None:
    raise KeyboardInterrupt(signal_number)
