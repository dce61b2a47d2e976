"""``python -m proxmox``: the commands and their options.

Exit codes: 0 nothing to do or all done; 1 an error, one sentence each on standard error; 2 there is something to do
(``plan``, ``--check``, ``status``); 130 interrupted.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from proxmox.errors import InterruptedRunError, ProvisionerError

FAILED, INTERRUPTED = 1, 130

_NAMES: Final = "GUEST"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is a sentence and never a traceback."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        # Imported when it is known which: `--help` and a wrong option need neither Ansible nor the network.
        module, _, function = options.run.partition(":")
        return int(getattr(importlib.import_module(f"proxmox.{module}"), function)(options))
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
    except OSError as error:  # a file or folder that the inventory names
        _say(f"proxmox: {error.filename or 'this machine'}: {error.strerror or error}: correct its name, owner or mode")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proxmox", description="Makes, moves and recovers the guests of an inventory on Proxmox VE."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, run: str, text: str, *, writes: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument(
            "-i", "--inventory", required=True, metavar="PATH", help="the inventory's folder, as inventories/lab"
        )
        added.add_argument("--json", action="store_true", help="write JSON to standard output")
        added.add_argument(
            "--overcommit",
            action="store_true",
            help="accept a cluster that cannot lose a node, crowds a group, promises memory twice or fills a storage",
        )
        if writes:
            added.add_argument("--check", action="store_true", help="do everything but write")
        added.set_defaults(run=run)
        return added

    _stand_up(command)
    _golden(command)
    _move(command)
    _keep(command)
    _recover(command)
    everything = commands.add_parser("variables", help="list the inventory's variables, their defaults and meanings")
    everything.set_defaults(run="commands:variables")
    return parser


Adder = Callable[..., argparse.ArgumentParser]


def _stand_up(command: Adder) -> None:
    for name, run, text in (
        ("plan", "commands:plan", "show what there is to do and change nothing; exit code 2 where there is something"),
        ("apply", "commands:carry_out", "make the cluster as the inventory wants it"),
    ):
        added = command(name, run, text, writes=name == "apply")
        added.add_argument(
            "--limit", action="append", metavar=_NAMES, help="this guest alone; may be given several times"
        )
        added.add_argument("--move", action="store_true", help="bring guests to the node that the inventory names, too")


def _golden(command: Adder) -> None:
    added = command("template", "template:template", "make the golden templates, and list their versions")
    added.add_argument(
        "--prune",
        action="store_true",
        help="remove versions that the inventory does not name and no linked clone needs",
    )


def _move(command: Adder) -> None:
    added = command("migrate", "moves:migrate", "bring a guest to another node while it runs")
    added.add_argument("guest", metavar=_NAMES)
    added.add_argument("--to", metavar="NODE", help="the node; by default the one that the inventory names")
    added = command("clone", "clone:clone", "make a guest of the inventory as a full copy of a running one")
    added.add_argument("guest", metavar=_NAMES, help="the guest that is copied")
    added.add_argument("--as", dest="twin", required=True, metavar="NAME", help="the guest that the copy becomes")
    added = command("relocate", "relocate:relocate", "bring all guests to other nodes or another cluster, step by step")
    added.add_argument(
        "--from", dest="source", metavar="PATH", help="the inventory of the Proxmox cluster that they are on now"
    )
    added.add_argument("--limit", action="append", metavar=_NAMES, help="this guest alone; may be given several times")
    stop = added.add_mutually_exclusive_group()
    stop.add_argument("--steps", type=int, metavar="N", help="stop after so many guests")
    stop.add_argument("--until", metavar=_NAMES, help="stop after this guest")
    added = command("evacuate", "moves:evacuate", "bring all guests of a node to the others, for its maintenance")
    added.add_argument("node", metavar="NODE")
    added = command("retire", "retire:retire", "shut guests down and remove them; they must be out of the inventory")
    added.add_argument("guest", metavar=_NAMES, nargs="+", help="its name or VMID")


def _keep(command: Adder) -> None:
    command("status", "status:status", "show nodes, guests, backups, room and drift; 2 for a fault", writes=False)
    added = command("backup", "backups:backup", "back guests up now, while they run")
    added.add_argument("guest", metavar=_NAMES, nargs="*", help="by default all")
    command("schedule", "schedule:schedule", "have the cluster back guests up on schedule, as the inventory says")
    added = command("restore", "backups:restore", "restore a guest's backup to a new VMID, stopped")
    added.add_argument("guest", metavar=_NAMES)
    added.add_argument("--archive", metavar="VOLID", help="which backup; by default the newest")
    added.add_argument("--to", metavar="NODE", help="the node; by default the guest's own")
    added.add_argument("--vmid", type=int, help="its number; by default a free one")
    added.add_argument(
        "--keep-address", action="store_true", help="keep the card's address: the guest itself must be gone for good"
    )
    added = command("drill", "backups:drill", "boot the newest backups in isolation, ask them, remove them")
    added.add_argument("guest", metavar=_NAMES, nargs="*", help="by default all")


def _recover(command: Adder) -> None:
    added = command("failover", "failover:failover", "bring a dead node's guests back on the others")
    added.add_argument("node", metavar="NODE")
    added.add_argument(
        "--it-is-off", action="store_true", help="your word that the node is off: you saw it, or took its power"
    )
    added.add_argument("--since", metavar="HH:MM", help="when the node died, for the time lost; by default now")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _as_interrupt(signal_number: int, _: object) -> None:
    raise KeyboardInterrupt(signal_number)
