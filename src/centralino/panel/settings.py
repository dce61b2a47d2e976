"""Django settings of this site: the common ones with what ``panel.toml`` says."""

from typing import Any

from centralino.panel import config
from centralino.panel.base_settings import *  # noqa: F403 - this is how one settings module extends another
from centralino.panel.base_settings import CONTENT_SECURITY_POLICY

PANEL = config.site()


def _database(database: config.Database) -> dict[str, Any]:
    options: dict[str, Any] = {"connect_timeout": 5, "application_name": "centralino-panel"}
    if not database.host.startswith("/"):
        options |= {
            "sslmode": "verify-full",
            "sslrootcert": str(database.ca),
            "sslcert": str(database.certificate),
            "sslkey": str(database.key),
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database.name,
        "USER": database.user,
        "HOST": database.host,
        "PORT": database.port,
        "OPTIONS": options,
    }


SECRET_KEY = PANEL.secret_key
SECRET_KEY_FALLBACKS = list(PANEL.former_secret_keys)
ALLOWED_HOSTS = list(PANEL.all_hosts)
DATABASES = {"default": _database(PANEL.database)}
STATIC_ROOT = PANEL.static_root
CONTENT_SECURITY_POLICY["DIRECTIVES"]["connect-src"] = ["'self'", PANEL.cti_url]
