"""The panel as a browser test needs it: its static files come along, which nginx serves on a guest."""

import mimetypes
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings

from centralino.panel.wsgi import application as panel

_PREFIX = "/static/"


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a static file, or what the panel answers."""
    path: Any = environ["PATH_INFO"]
    if not path.startswith(_PREFIX):
        return panel(environ, start_response)
    kind, _ = mimetypes.guess_type(path)
    start_response("200 OK", [("Content-Type", kind or "application/octet-stream")])
    return [(settings.STATIC_ROOT / path.removeprefix(_PREFIX)).read_bytes()]
