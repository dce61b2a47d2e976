"""The command ``centralino-cti``: ``serve [FILE]`` runs the proxy, ``check FILE`` tells whether a file can be used."""

import argparse
import sys
from pathlib import Path

import uvloop

from centralino.cti import logs
from centralino.cti.config import DEFAULT_PATH, ConfigError, load
from centralino.cti.service import check_files, serve


def main() -> None:
    """Run the command; errors are one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="centralino-cti", description="The CTI proxy of Centralino.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("serve", "connect to the PBXes and serve browsers"),
        ("check", "tell whether a configuration file can be used"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("file", type=Path, nargs="?", default=DEFAULT_PATH)
    arguments = parser.parse_args()
    path: Path = arguments.file
    try:
        config = load(path)
        if arguments.command == "check":
            sys.stdout.write(f"{path}: well\n")
            return
        check_files(config)
    except ConfigError as error:
        sys.exit(f"centralino-cti: {error}")
    logs.set_up()
    try:
        uvloop.run(serve(path, config))
    except OSError as error:
        sys.exit(f"centralino-cti: cannot listen on {error.strerror}: is it taken?")
