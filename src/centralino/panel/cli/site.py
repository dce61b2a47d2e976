"""``centralino check``, ``migrate`` and ``static``: what the role ``panel`` needs of the panel itself."""

from centralino.panel import config
from centralino.panel.cli.output import changed, fail, out, sentences


def check() -> None:
    """Tell whether the configuration, the database and its tables are as this release needs them."""
    from django.core.management import call_command  # noqa: PLC0415 - Django is set up by now
    from django.core.management.base import CommandError  # noqa: PLC0415

    try:
        with sentences():
            call_command("check", deploy=True, fail_level="WARNING", verbosity=0)
            waiting = _unapplied()
    except CommandError as error:
        fail(f"the panel's settings are not safe: {error}")
    if waiting:
        fail(f"the database lacks {', '.join(waiting)}: run `centralino migrate`")
    out.print("configuration, database and tables are well")


def migrate() -> None:
    """Bring the database's tables to this release."""
    from django.core.management import call_command  # noqa: PLC0415

    with sentences():
        waiting = _unapplied()
        if waiting:
            call_command("migrate", interactive=False, verbosity=0)
    for name in waiting:
        out.print(name)
    changed(bool(waiting))


def static() -> None:
    """Put stylesheets and scripts where nginx serves them; those of former releases stay for pages still open."""
    from django.core.management import call_command  # noqa: PLC0415

    folder = config.site().static_root
    manifest = folder / "staticfiles.json"
    try:
        before = manifest.read_bytes() if manifest.exists() else b""
        call_command("collectstatic", interactive=False, verbosity=0)
    except OSError as error:
        fail(f"{folder}: cannot be written ({error.strerror}): run the role panel, which makes this folder")
    changed(manifest.read_bytes() != before)


def _unapplied() -> list[str]:
    """Return the names of the migrations that the database lacks."""
    from django.db import connection  # noqa: PLC0415
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
