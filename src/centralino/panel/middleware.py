"""Who is not logged in goes to the log-in page."""

from collections.abc import Callable
from typing import Any, override

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect


class LoginRequired(LoginRequiredMiddleware):
    """Closes every page that does not say otherwise (``login_not_required``)."""

    @override
    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponseRedirect:
        """Send to the log-in, and from there back to a page; what was sent by a form is at an address without one."""
        if request.method not in {"GET", "HEAD"}:
            return redirect(settings.LOGIN_URL)
        return super().handle_no_permission(request, view_func)
