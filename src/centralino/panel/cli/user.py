"""``centralino user …``."""

import getpass
import sys
from typing import Annotated

import typer
from pydantic import Field, TypeAdapter, ValidationError

from centralino.panel.cli.output import changed, fail, out, sentences

app = typer.Typer(help="People who log in: passwords, operators.", no_args_is_help=True)

_LONGEST = 1000


@app.command()
def password(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="The log-in, as in the tenant's file.")],
) -> None:
    """Set the password of LOGIN, read from standard input (one line); on a terminal it is asked for."""
    from centralino.panel.services import users  # noqa: PLC0415 - models need Django set up

    if sys.stdin.isatty():
        wanted = getpass.getpass(f"New password of {login}: ")
        if getpass.getpass("Once more: ") != wanted:
            fail("the two passwords differ: type the same one twice")
    else:
        wanted = sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    if not 0 < len(wanted) <= _LONGEST:
        fail(f"login {login}: give the password on standard input, 1 to {_LONGEST} characters on one line")
    with sentences():
        new = users.set_password(login, wanted)
    out.print(f"login {login}: {'password set' if new else 'has this password already'}")
    changed(new)


@app.command("first-passwords")
def first_passwords() -> None:
    """Give people without a password their first one: a JSON object, login → password, on standard input."""
    from centralino.panel.services import users  # noqa: PLC0415

    try:
        wanted = TypeAdapter(dict[str, Annotated[str, Field(max_length=_LONGEST)]]).validate_json(
            sys.stdin.buffer.read()
        )
    except ValidationError:
        fail('standard input: this is no JSON object of passwords by login: write {"login": "password"}')
    with sentences():
        given = users.give_first_passwords(wanted)
    for login in given:
        out.print(f"login {login}: password set")
    changed(bool(given))


@app.command()
def operator(login: Annotated[str, typer.Argument(metavar="LOGIN", help="The operator's log-in.")]) -> None:
    """Make sure that the operator LOGIN exists: somebody who sees every tenant. Set a password afterwards."""
    from centralino.panel.services import users  # noqa: PLC0415

    with sentences():
        new = users.make_operator(login)
    out.print(f"operator {login}: {'created' if new else 'unchanged'}")
    changed(new)
