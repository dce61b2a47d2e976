"""``centralino tenant …`` and ``centralino device …``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from centralino.contract.tenant_file import MAX_BYTES
from centralino.panel.cli.output import changed, fail, out, sentences

if TYPE_CHECKING:
    from centralino.panel.services.tenants import ImportReport

app = typer.Typer(help="Tenants: import their files, look at them.", no_args_is_help=True)
devices = typer.Typer(help="Devices: what their phones need.", no_args_is_help=True)

_MOST_FILES = 1000
"""So many files may be imported at once."""

_SHOWN = 40
"""So many lines of an import's changes are printed."""


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Tenants' YAML files, or - for standard input.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Each FILE holds several: a JSON object, file name → content.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change, and change nothing.")] = False,
) -> None:
    """Make the database hold exactly what each FILE says of its tenant: all of them, or none if one is wrong.

    Nothing is live before `centralino apply`.
    """
    from centralino.panel.services import tenant_files, tenants  # noqa: PLC0415 - models need Django set up

    limit = (_MOST_FILES if as_json else 1) * MAX_BYTES
    contents = {_source(file): _content(file, limit) for file in files}
    if as_json:
        contents = {name: part for source, whole in contents.items() for name, part in _parts(whole, source).items()}
    with sentences():
        read = {source: tenant_files.read(content, source=source) for source, content in contents.items()}
        reports = tenants.import_tenants(read, dry_run=dry_run)
    for report in reports:
        _tell(report, dry_run=dry_run)
    changed(any(report.outcome != "unchanged" for report in reports))


@app.command("list")
def list_() -> None:
    """List all tenants."""
    from centralino.panel.services import tenants  # noqa: PLC0415

    table = Table("tenant", "name", "pbx", "extensions", "devices", box=None, pad_edge=False)
    with sentences():
        for tenant in tenants.every():
            counts = (str(tenant.extension_count), str(tenant.device_count))
            table.add_row(str(tenant.id), tenant.name, tenant.pbx, *counts)
    out.print(table)


@app.command()
def show(tenant_id: Annotated[int, typer.Argument(metavar="ID", help="The tenant's number.")]) -> None:
    """Show a tenant's extensions and who logs in."""
    from centralino.panel.services import tenants  # noqa: PLC0415

    table = Table("extension", "name", "devices", "logins", box=None, pad_edge=False)
    with sentences():
        tenant = tenants.get(tenant_id)
        for extension in tenants.extensions(tenant):
            logins = ", ".join(user.login for user in extension.users.all())
            table.add_row(extension.number, extension.name, str(extension.device_count), logins)
        administrators = [user.login for user in tenant.users.filter(role="administrator")]
    out.print(f"tenant {tenant.id}: {tenant.name}, on {tenant.pbx}")
    out.print(f"administrators: {', '.join(administrators) or 'none'}")
    out.print(table)


@devices.command()
def credentials(tenant_id: Annotated[int, typer.Argument(metavar="ID", help="The tenant's number.")]) -> None:
    """Print JSON: extension → its devices' name, endpoint, secret and transport. Handle it as what it is: secrets."""
    from centralino.panel.services import tenants  # noqa: PLC0415

    with sentences():
        found = tenants.credentials(tenant_id)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _tell(report: "ImportReport", *, dry_run: bool) -> None:
    for line in report.changes[:_SHOWN]:
        out.print(line)
    if len(report.changes) > _SHOWN:
        out.print(f"… and {len(report.changes) - _SHOWN} more")
    verb = {"created": "would be created", "changed": "would be changed"}.get(report.outcome) if dry_run else None
    out.print(f"tenant {report.tenant}: {verb or report.outcome}")


def _source(file: str) -> str:
    """Return how messages name a file."""
    return "standard input" if file == "-" else file


def _parts(whole: bytes, source: str) -> dict[str, bytes]:
    try:
        named = TypeAdapter(dict[str, str]).validate_json(whole)
    except ValidationError:
        fail(f'{source}: this is no JSON object of files by name: write {{"175.yml": "id: 175 …"}}')
    return {name: part.encode() for name, part in named.items()}


def _content(file: str, limit: int) -> bytes:
    """Return what is in a file, at most a byte more than may be."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(limit + 1)
        with Path(file).open("rb") as stream:
            return stream.read(limit + 1)
    except PermissionError:
        fail(
            f"{file}: the panel's user may not read it: give it on standard input: centralino tenant import - < {file}"
        )
    except FileNotFoundError:
        fail(f"{file}: there is no such file: check its name, or give it on standard input with -")
    except OSError as error:
        fail(f"{file}: cannot be read ({error.strerror}): give a tenant's YAML file")
