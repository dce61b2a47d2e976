"""The command's entry point; each group of subcommands is a module."""

import os

import django
import typer

from centralino.panel import config
from centralino.panel.cli import apply, ban, phone, site, tenant, user
from centralino.panel.cli.output import fail

app = typer.Typer(
    help="Configure a Centralino cluster and make it live. Runs on the web guest, as root or with sudo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(tenant.app, name="tenant")
app.add_typer(user.app, name="user")
app.add_typer(tenant.devices, name="device")
app.add_typer(phone.app, name="phone")
app.add_typer(ban.app, name="ban")
app.command("apply")(apply.apply)
app.command("check")(site.check)
app.command("migrate")(site.migrate)
app.command("static")(site.static)


@app.callback()
def _start() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "centralino.panel.settings")
    try:
        django.setup()
    except config.ConfigError as error:
        fail(str(error))


def main() -> None:
    """Run the command."""
    app()
