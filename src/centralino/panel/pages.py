"""The pages: they read from the service layer and render; nothing is decided here that another entrance would need."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from centralino.contract.names import PARKING_CODE
from centralino.panel import config
from centralino.panel.addresses import client_address
from centralino.panel.forms import LoginForm
from centralino.panel.models import Role, Tenant, User
from centralino.panel.services import bans, tenants, tokens
from centralino.panel.services.errors import ServiceError

STATES = (
    ("free", "Free"),
    ("ringing", "Ringing"),
    ("busy", "Busy"),
    ("held", "On hold"),
    ("unregistered", "Not registered"),
)
"""The five states of ``contract.live`` as people call them, in the order of the legend."""
SECTIONS = (
    ("calls", "Calls"),
    ("queues", "Queues"),
    ("parked", "Parked"),
    ("conferences", "Conferences"),
)
"""What stands beside the extensions, by its name in ``contract.live``."""


class Login(LoginView):
    """The log-in page; who is logged in goes straight on."""

    template_name = "panel/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """Return where the person wanted to go, if that is not here."""
        wanted = super().get_success_url()
        return self.get_default_redirect_url() if urlsplit(wanted).path == self.request.path else wanted


class Logout(LogoutView):
    """Log-out, by POST alone."""


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Show a tenant's extensions, which the page then keeps alive from the CTI proxy."""
    user = _user(request)
    if user.is_operator and "tenant" not in request.GET:
        return redirect("tenants")
    tenant = _tenant(user, request.GET.get("tenant"))
    context = {
        "tenant": tenant,
        "extensions": tenants.extensions(tenant),
        "states": STATES,
        "sections": SECTIONS,
        "own": user.extension.number if user.extension else "",
        "leads": user.role != Role.USER,
        "cti_url": config.site().cti_url,
        "parking_code": PARKING_CODE,
    }
    return render(request, "panel/live.html", context)


@never_cache
@login_not_required  # a script asks: it is told so in a status, not sent to the log-in page
@require_POST
def live_token(request: HttpRequest) -> JsonResponse:
    """Answer ``{token, url, expires}`` for the tenant that the page shows."""
    if not isinstance(request.user, User):
        return JsonResponse({"error": "you are logged out: log in again"}, status=401)
    tenant = _tenant(request.user, request.POST.get("tenant"))
    address = client_address(request)
    if not bans.may_come_from(request.user.tenant, address):
        bans.attack(address, reason=f"a session of {request.user.login}, from outside its tenant's networks")
        return JsonResponse(
            {"error": "this tenant does not log in from your address: ask your administrator"}, status=403
        )
    issued = tokens.issue(request.user, tenant)
    return JsonResponse({"token": issued.token, "url": f"{config.site().cti_url}/live", "expires": issued.expires})


@never_cache
@require_safe
def extensions(request: HttpRequest) -> HttpResponse:
    """List a tenant's extensions for those who configure."""
    user = _administrator(request)
    if user.is_operator and "tenant" not in request.GET:
        return redirect("tenants")
    tenant = _tenant(user, request.GET.get("tenant"))
    return render(request, "panel/extensions.html", {"tenant": tenant, "extensions": tenants.extensions(tenant)})


@never_cache
@require_safe
def tenant_list(request: HttpRequest) -> HttpResponse:
    """Let an operator choose a tenant."""
    _operator(request)
    return render(request, "panel/tenants.html", {"tenants": tenants.every()})


@never_cache
@require_safe
def ban_list(request: HttpRequest) -> HttpResponse:
    """Show operators who is banned on the whole cluster, and why."""
    _operator(request)
    return render(request, "panel/bans.html", {"bans": bans.in_force()})


@require_POST
def lift_ban(request: HttpRequest) -> HttpResponse:
    """End a ban at once, everywhere; one that has just run out is lifted too."""
    operator = _operator(request)
    try:
        bans.lift(request.POST.get("address", ""), by=operator.login)
    except ServiceError:
        raise Http404 from None
    return redirect("bans")


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def _operator(request: HttpRequest) -> User:
    user = _user(request)
    if not user.is_operator:
        raise PermissionDenied
    return user


def _administrator(request: HttpRequest) -> User:
    user = _user(request)
    if not user.administers:
        raise PermissionDenied
    return user


def _tenant(user: User, wanted: str | None) -> Tenant:
    """Return the tenant that a request is about; another's and one that does not exist are the same 404."""
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 9):  # noqa: PLR2004 - 8 digits, as the names allow
        raise Http404
    tenant = tenants.visible_to(user, int(wanted) if wanted else None)
    if tenant is None:
        raise Http404
    return tenant


def _problem(request: HttpRequest, status: int, title: str, remedy: str) -> HttpResponse:
    context: dict[str, Any] = {"status": status, "title": title, "remedy": remedy}
    return render(request, "panel/problem.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django\'s signature
    """Answer 400."""
    return _problem(request, 400, "This request cannot be understood", "Go back and try again.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django\'s signature
    """Answer 403."""
    return _problem(request, 403, "This page is not for your role", "Ask your administrator if you need it.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django\'s signature
    """Answer 404."""
    return _problem(request, 404, "There is nothing at this address", "It may have been removed, or belong to others.")


def server_error(_: HttpRequest) -> HttpResponse:
    """Answer 500 with a page that needs neither database nor session."""
    return HttpResponse(render_to_string("panel/broken.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Answer a form that was too old, or not ours."""
    return _problem(request, 403, "This form is out of date", "Go back, reload the page and send it again.")
