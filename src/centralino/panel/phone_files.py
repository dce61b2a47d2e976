"""``/phones/…``: what desk phones fetch. Who may have what is decided by ``services.provisioning``."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from centralino.panel.addresses import client_address, client_subject
from centralino.panel.services import provisioning
from centralino.phones.phone import File


@login_not_required
@require_GET  # HEAD is refused: it would use up the secrets and deliver nothing
def by_mac(request: HttpRequest, name: str) -> HttpResponse:
    """Answer a phone that knows no more than the common address and its own MAC."""
    return _answer(provisioning.by_mac(name, _asker(request)))


@login_not_required
@require_GET
def by_folder(request: HttpRequest, folder: str, name: str) -> HttpResponse:
    """Answer a phone that knows its own folder."""
    return _answer(provisioning.by_folder(folder, name, _asker(request)))


def _asker(request: HttpRequest) -> provisioning.Asker:
    return provisioning.Asker(client_address(request) or "", client_subject(request))


def _answer(file: File | None) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    if file is None:
        # The same for everything that is not there, and short: phones ask for files that nobody has.
        return HttpResponse("not found\n", status=404, content_type="text/plain", headers=headers)
    return HttpResponse(file.content, content_type=file.media_type, headers=headers)
