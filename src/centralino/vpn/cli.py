"""The command ``centralino-vpn``: profiles of this guest's VPN. Needs root."""

import argparse
import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from centralino.contract.toml_file import ConfigError
from centralino.vpn import config, profile
from centralino.vpn.config import Config
from centralino.vpn.errors import VpnError
from centralino.vpn.management import NotRunningError, Session, end_sessions, open_management
from centralino.vpn.store import Profile, Store

_FAILED = 1


def main() -> None:
    """Run the command; bad input and faults are sentences on standard error and exit code 1."""
    arguments = _parser().parse_args()
    try:
        _run(arguments, config.load(arguments.config))
    except (ConfigError, VpnError) as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error: {line}\n")
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="centralino-vpn", description=__doc__)
    parser.add_argument("--config", type=Path, default=config.DEFAULT_PATH, metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a profile; it is handed out once, its key is not kept")
    add.add_argument("name", help="small letters, digits, - and .")
    add.add_argument("--phone", action="store_true", help="the tar that phones take (Yealink, Snom) instead of .ovpn")
    add.add_argument("--output", type=Path, metavar="FILE", help="a new file instead of standard output")
    listing = commands.add_parser("list", help="show the profiles and who is connected")
    listing.add_argument("--json", action="store_true", help="for machines")
    revoke = commands.add_parser("revoke", help="refuse a profile from now on and end its session")
    revoke.add_argument("name")
    commands.add_parser("init", help="make the authority where there is none (the role does this)")
    commands.add_parser("refresh", help="renew the revocation list where it is due (a timer does this daily)")
    return parser


def _run(arguments: argparse.Namespace, settings: Config) -> None:
    store = Store(settings)
    match arguments.command:
        case "add":
            _add(arguments, settings, store)
        case "list":
            _list(settings, store, as_json=arguments.json)
        case "revoke":
            _revoke(arguments.name, settings, store)
        case "init":
            _changed(store.prepare())
        case "refresh":
            _changed(store.refresh())


def _add(arguments: argparse.Namespace, settings: Config, store: Store) -> None:
    output: Path | None = arguments.output
    if output is None and arguments.phone and sys.stdout.isatty():
        raise VpnError("a tar is not for a terminal: give --output FILE")
    if output is not None and (output.exists() or not output.parent.is_dir()):
        raise VpnError(f"{output}: is there already, or its folder is not: name a new file in a folder that exists")
    text = profile.text(settings, store.add(arguments.name))
    content = profile.phone_tar(text) if arguments.phone else text.encode()
    try:
        _hand_out(content, output)
    except OSError as error:
        store.revoke(arguments.name)
        where = f"{output or 'standard output'}: cannot be written ({error.strerror})"
        raise VpnError(f"{where}: make room there and add the profile again") from None


def _hand_out(content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            output.unlink()
            raise


def _revoke(name: str, settings: Config, store: Store) -> None:
    store.revoke(name)
    try:
        ended = end_sessions(settings.management, name)
    except NotRunningError:
        sys.stdout.write(f"profile {name}: revoked; the VPN does not run, so there was no session to end\n")
    except VpnError as error:
        left = f"profile {name}: revoked, but its session may go on; then revoke it once more"
        raise VpnError(f"{left}: {error}") from None
    else:
        sys.stdout.write(f"profile {name}: revoked; {ended} session{'' if ended == 1 else 's'} ended\n")


def _list(settings: Config, store: Store, *, as_json: bool) -> None:
    sessions: dict[str, Session] = {}
    with suppress(NotRunningError), open_management(settings.management) as management:
        sessions = {session.name: session for session in management.sessions()}
    rows = [_row(each, sessions.get(each.name)) for each in store.profiles()]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    columns = ("name", "state", "ends", "address", "source", "since")
    widths = [max(len(column), *(len(row[column]) for row in rows)) if rows else len(column) for column in columns]
    for line in [{column: column for column in columns}, *rows]:
        cells = (line[column].ljust(width) for column, width in zip(columns, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _row(made: Profile, session: Session | None) -> dict[str, str]:
    if made.revoked:
        state, session = f"revoked {made.revoked:%Y-%m-%d}", None
    elif made.ends <= datetime.now(UTC):
        state = "ended"
    else:
        state = "connected" if session else "in force"
    return {
        "name": made.name,
        "state": state,
        "ends": f"{made.ends:%Y-%m-%d}",
        "address": session.address if session else "",
        "source": session.source if session else "",
        "since": session.since if session else "",
    }


def _changed(value: bool) -> None:
    sys.stdout.write(f"changed={'true' if value else 'false'}\n")
