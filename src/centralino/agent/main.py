"""The command ``centralino-agent``."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from centralino.agent import config, logs
from centralino.agent.apply import Applier
from centralino.agent.check_sync import CheckSync
from centralino.agent.loop import Agent
from centralino.agent.panel import PanelClient
from centralino.agent.store import Store
from centralino.asterisk.cli import Asterisk, AsteriskError
from centralino.contract.model import first_finding
from centralino.contract.snapshot import Snapshot
from centralino.contract.toml_file import ConfigError

_NOT_LIVE = 1
_BAD_INPUT = 2


class _UsageError(Exception):
    """Bad input; the text names it, its place and the remedy."""


def main() -> None:
    """Run the command; the exit code is 0 when Asterisk runs what was asked, 1 when not, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="centralino-agent", description=__doc__)
    parser.add_argument("--config", type=Path, default=config.DEFAULT_PATH, metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve: wait for the panel's snapshots and apply them (the systemd unit does this)")
    apply = commands.add_parser("apply", help="apply a snapshot from a file, without the panel")
    apply.add_argument("file", type=Path)
    commands.add_parser("check", help="read the configuration and tell what is wrong with it")
    commands.add_parser("status", help="tell which release runs and whether Asterisk agrees")
    arguments = parser.parse_args()
    logs.set_up()
    signal.signal(signal.SIGTERM, _leave)
    try:
        sys.exit(_run(arguments))
    except (ConfigError, _UsageError) as error:
        parser.exit(_BAD_INPUT, f"{error}\n")
    except AsteriskError as error:
        parser.exit(_NOT_LIVE, f"{error}\n")
    except OSError as error:
        where = error.filename or "the agent"
        parser.exit(_NOT_LIVE, f"{where}: {error.strerror}: see `df` and `mount` on this guest\n")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    if arguments.command == "check":
        return 0
    try:
        if settings.state.stat().st_uid != os.geteuid():  # files of another owner would be out of Asterisk's reach
            raise _UsageError(f"{settings.state} is another user's: run this as its owner, user asterisk")
        store = Store(settings.state)
    except OSError as error:
        raise _UsageError(f"{settings.state}: {error.strerror}: run role pbx_agent on this guest") from None
    applier = Applier(store, settings.asterisk)
    match arguments.command:
        case "run":
            panel = PanelClient(settings.panel)
            CheckSync(panel, Asterisk(settings.asterisk / "asterisk.conf")).start()
            Agent(settings.pbx, store, applier, panel).run()
            return 0
        case "apply":
            result = applier.apply(_read(arguments.file))
            sys.stdout.write(f"{result.outcome}: {result.message}\n")
            return 0 if result.outcome == "live" else _NOT_LIVE
        case _:
            return _status(store, applier)


def _status(store: Store, applier: Applier) -> int:
    accepted = store.accepted()
    wrong = applier.agrees()
    sys.stdout.write(
        f"snapshot: {accepted.etag if accepted else 'none'}\n"
        f"release: {store.current() or 'none'}\n"
        f"asterisk: {wrong or 'runs it'}\n"
    )
    return _NOT_LIVE if wrong else 0


def _read(path: Path) -> Snapshot:
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _UsageError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        finding = first_finding(error, whole="the file")
        raise _UsageError(f"{path}: {finding}: this is no snapshot as the panel publishes it") from None


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End in an orderly way, so that a trial Asterisk is ended with us."""
    sys.exit(0)


if __name__ == "__main__":
    main()
