"""The agent API (``/agent/v1/``): guests fetch snapshots, keys and bans, and tell of applies and attacks.

Who asks is what nginx verified: the common name of the client certificate, in ``X-Client-Name``. The panel listens on a
Unix socket that nginx alone may open, and nginx overwrites that header on every request.
"""

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, Literal

from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.http import parse_etags
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import ValidationError

from centralino.contract.bans import MAX_REPORT_BYTES, Report, etag_of
from centralino.contract.model import Model
from centralino.contract.result import ApplyResult
from centralino.panel import config
from centralino.panel.services import bans as ban_list
from centralino.panel.services import check_sync, publish, results
from centralino.panel.services import keys as signing_keys

MAX_WAIT = 50
"""Seconds that a request may wait; less than any proxy's time-out on the way."""
MAX_RESULT_BYTES = 32_768

_log = logging.getLogger(__name__)

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]
type GuestView = Callable[[HttpRequest, str], HttpResponse]


class _RequestError(Exception):
    """A request that cannot be understood: a status, and a sentence for the guest's journal."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _error(status: int, sentence: str) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status)


def _for_guest(kind: Literal["pbx", "cti", "guest"]) -> Callable[[GuestView], View[[]]]:
    """Let only guests of a kind in (``guest``: of any), and give their name to the view."""

    def decorate(view: GuestView) -> View[[]]:
        @login_not_required
        @csrf_exempt  # no cookie is looked at: a browser without the guest's key has nothing to abuse
        @functools.wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            name = request.headers.get("X-Client-Name", "")
            is_a = config.site().guests.get(name)
            if is_a != kind and not (is_a and kind == "guest"):
                _log.warning("refused %s %s to %r: not a %s", request.method, request.path, name[:80], kind)
                return _error(403, f"{name[:80]!r} is no {kind} of this cluster: it is missing in the panel's guests")
            try:
                return view(request, name)
            except _RequestError as error:
                return _error(error.status, str(error))
            except OperationalError:
                _log.exception("the database does not answer")
                return _error(503, "the panel's database does not answer: try again later")

        return guarded

    return decorate


@require_GET
@_for_guest("pbx")
def snapshot(request: HttpRequest, pbx: str) -> HttpResponse:
    """Answer the publication in force; with ``wait=S``, wait so long for another than ``If-None-Match`` names."""
    known, wait = _poll(request)
    publication = publish.wait_for_other(pbx, known, wait)
    if publication is None:
        return _error(404, f"nothing is published for {pbx} yet: run `centralino apply`")
    return _unless_known(known, publish.tag(publication), publication.document.encode())


@require_POST
@_for_guest("pbx")
def result(request: HttpRequest, pbx: str) -> HttpResponse:
    """Take an ``ApplyResult`` of the PBX that sends it."""
    told = _body(request, ApplyResult, MAX_RESULT_BYTES)
    if told.pbx != pbx:
        return _error(403, f"{pbx} cannot tell the result of {told.pbx}")
    results.record(told)
    return HttpResponse(status=204)


@require_http_methods(["GET", "POST"])
@_for_guest("guest")
def bans(request: HttpRequest, guest: str) -> HttpResponse:
    """Answer the bans in force, as :func:`snapshot` does its publication; by POST, take a ``Report``."""
    if request.method == "POST":
        try:
            ban_list.ban(_body(request, Report, MAX_REPORT_BYTES), guest=guest)
        except ban_list.NeverBannedError as error:
            return _error(409, str(error))
        return HttpResponse(status=204)
    known, wait = _poll(request)
    document = ban_list.wait_for_other(known, wait).document()
    return _unless_known(known, etag_of(document), document)


@require_GET
@_for_guest("cti")
def keys(_: HttpRequest, __: str) -> HttpResponse:
    """Answer the public keys by which tokens are verified now."""
    document = signing_keys.public_keys().model_dump_json().encode()
    return HttpResponse(document, content_type="application/json", headers={"Cache-Control": "no-store"})


@require_http_methods(["GET", "DELETE"])
@_for_guest("pbx")
def check_syncs(request: HttpRequest, pbx: str) -> HttpResponse:
    """Answer the phones that this PBX is to tell; DELETE takes those off the list that it has told, up to an id."""
    if request.method == "DELETE":
        check_sync.told(pbx, _number(request, "upto"))
        return HttpResponse(status=204)
    _, wait = _poll(request)
    document = check_sync.wait_for_any(pbx, wait).model_dump_json().encode()
    return HttpResponse(document, content_type="application/json", headers={"Cache-Control": "no-store"})


def _number(request: HttpRequest, name: str) -> int:
    """Return a query's whole number, 0 where it is not given."""
    text = request.GET.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - as many digits as a bigint has
        raise _RequestError(400, f"{name}: write a whole number")
    return int(text)


def _poll(request: HttpRequest) -> tuple[set[str], int]:
    """Return the entity tags that a guest has, and the seconds that it is ready to wait."""
    wait = _number(request, "wait")
    known = {etag.removeprefix("W/").strip('"') for etag in parse_etags(request.headers.get("If-None-Match", ""))}
    return known, min(wait, MAX_WAIT)


def _unless_known(known: set[str], etag: str, document: bytes) -> HttpResponse:
    """Answer a document, or 304 where the guest has it."""
    tag = f'"{etag}"'
    if etag in known:
        return HttpResponse(status=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    return HttpResponse(document, content_type="application/json", headers=headers)


def _body[M: Model](request: HttpRequest, model: type[M], most: int) -> M:
    """Return what a guest sent."""
    # Django reads no body before it is asked for, and nginx tells its length.
    if int(request.headers.get("Content-Length") or 0) > most:
        raise _RequestError(413, f"this is longer than {most} bytes")
    try:
        return model.model_validate_json(request.body)
    except ValidationError as error:
        finding = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in finding["loc"]) or "body"
        raise _RequestError(422, f"{where}: {finding['msg']}") from None
