"""The command ``centralino-bans``."""

import argparse
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from centralino.agent import logs, notify
from centralino.agent.bans import config, firewall
from centralino.agent.bans.keeper import Keeper
from centralino.agent.bans.store import Store
from centralino.agent.connection import PanelConnection
from centralino.contract.toml_file import ConfigError

_BAD_INPUT: Final = 2
_FIRST_DESCRIPTOR: Final = 3
"""Where systemd puts a unit's sockets (sd_listen_fds(3))."""


def main() -> None:
    """Run the command; exit code 2 is bad input."""
    parser = argparse.ArgumentParser(prog="centralino-bans", description=__doc__)
    parser.add_argument("--config", type=Path, default=config.DEFAULT_PATH, metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="report and enforce (the systemd units do this)")
    commands.add_parser("check", help="read the configuration and tell what is wrong with it")
    arguments = parser.parse_args()
    logs.set_up()
    try:
        settings = config.load(arguments.config)
    except ConfigError as error:
        parser.exit(_BAD_INPUT, f"{error}\n")
    if arguments.command == "check":
        return
    if os.environ.get("LISTEN_FDS") != "1":
        parser.exit(_BAD_INPUT, "this is started by its socket: systemctl start centralino-bans.socket\n")
    signal.signal(signal.SIGTERM, _leave)
    run(settings, socket.socket(fileno=_FIRST_DESCRIPTOR))


def run(settings: config.Config, reports: socket.socket) -> NoReturn:
    """Serve until the process ends; an error that no loop expects ends it, and systemd begins anew."""
    keeper = Keeper(Store(settings.state), PanelConnection(settings.panel), firewall.enforce)
    keeper.start()
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def guarded(loop: Callable[[], NoReturn]) -> None:
        try:
            loop()
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            failures.put(error)

    for loop in (lambda: keeper.receive(reports), keeper.deliver, keeper.follow):
        threading.Thread(target=guarded, args=(loop,), daemon=True).start()
    notify.notify("READY=1")
    raise failures.get()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
