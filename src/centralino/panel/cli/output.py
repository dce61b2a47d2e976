"""How the command speaks: matters on standard output, progress and errors on standard error."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import typer
from rich.console import Console

# What people have chosen is no markup: a name may hold [/].
_plain = partial(Console, soft_wrap=True, highlight=False, markup=False, emoji=False)
# A table that goes into a pipe or a file is not cut to a window that is not there.
out = _plain(width=None if sys.stdout.isatty() else 200)
err = _plain(stderr=True)


def changed(value: bool) -> None:
    """Print the line that playbooks read."""
    out.print(f"changed={'true' if value else 'false'}")


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what may go wrong into sentences on standard error and exit code 1."""
    # Imported late: this module is loaded before Django is set up.
    from django.db import DatabaseError  # noqa: PLC0415

    from centralino.contract.tenant_file import TenantFileError  # noqa: PLC0415
    from centralino.panel.config import ConfigError  # noqa: PLC0415
    from centralino.panel.services.errors import ServiceError  # noqa: PLC0415

    try:
        yield
    except (ConfigError, TenantFileError, ServiceError) as error:
        fail(str(error))
    except UnicodeEncodeError:
        fail("what was given is no UTF-8 text: give it again from a terminal, or in a file, that writes UTF-8")
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        fail(
            f"the database refuses or does not answer ({reason}): "
            "see `systemctl status postgresql`, then `centralino check`"
        )


def fail(text: str) -> NoReturn:
    """Print sentences and end with exit code 1."""
    for line in text.splitlines():
        err.print(f"error: {line}", style="red")
    raise typer.Exit(1)


def person() -> str:
    """Return who runs the command; sudo tells who that was."""
    return os.environ.get("SUDO_USER") or os.environ.get("CENTRALINO_PERSON") or getpass.getuser()
