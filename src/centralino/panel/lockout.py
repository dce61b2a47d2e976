"""What django-axes needs to know: who tries, from where, and what a person is told who tried too often."""

from typing import TYPE_CHECKING, Any, override

from axes.handlers.database import AxesDatabaseHandler
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from centralino.panel.addresses import client_address
from centralino.panel.forms import LoginForm
from centralino.panel.services import bans

if TYPE_CHECKING:
    from collections.abc import Mapping


class Handler(AxesDatabaseHandler):  # type: ignore[misc] # axes has no types
    """Closes a pair of log-in and address, as axes does by itself, and all log-ins to whom no ban keeps out."""

    @override
    def is_blacklisted(self, request: HttpRequest, credentials: "Mapping[str, Any] | None" = None) -> bool:
        return super().is_blacklisted(request, credentials) or bans.shut_out(client_address(request))


def login_name(request: HttpRequest, credentials: "Mapping[str, Any] | None" = None) -> str:
    """Return the log-in that is tried, spelt as it is stored, so that ``Anna`` and ``anna`` count as one."""
    name = (credentials or {}).get("username") or request.POST.get("username", "")
    return str(name).strip().lower()[:150]


def refuse(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer 429 with the log-in page and a sentence on what to do."""
    closed = "network" if bans.shut_out(client_address(request)) else "login"
    context = {"form": LoginForm(request), "closed": closed}
    return render(request, "panel/login.html", context, status=429)
