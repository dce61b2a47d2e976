"""What django-axes needs to know: who tries, from where, and what a person is told who tried too often."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from centralino.panel.forms import LoginForm

if TYPE_CHECKING:
    from collections.abc import Mapping


def login_name(request: HttpRequest, credentials: "Mapping[str, Any] | None" = None) -> str:
    """Return the log-in that is tried, spelt as it is stored, so that ``Anna`` and ``anna`` count as one."""
    name = (credentials or {}).get("username") or request.POST.get("username", "")
    return str(name).strip().lower()[:150]


def refuse(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer 429 with the log-in page and a sentence on what to do."""
    context = {"form": LoginForm(request), "locked": True}
    return render(request, "panel/login.html", context, status=429)
