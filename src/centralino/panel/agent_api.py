"""The agent API (``/agent/v1/``): guests fetch snapshots and keys and tell what became of an apply.

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

from centralino.contract.result import ApplyResult
from centralino.panel import config
from centralino.panel.services import check_sync, publish, results
from centralino.panel.services import keys as signing_keys

MAX_WAIT = 50
"""Seconds that a request may wait; less than any proxy's time-out on the way."""
MAX_RESULT_BYTES = 32_768

_log = logging.getLogger(__name__)

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]
type GuestView = Callable[[HttpRequest, str], HttpResponse]


def _error(status: int, sentence: str) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status)


def _for_guest(kind: Literal["pbx", "cti"]) -> Callable[[GuestView], View[[]]]:
    """Let only guests of a kind in, and give their name to the view."""

    def decorate(view: GuestView) -> View[[]]:
        @login_not_required
        @csrf_exempt  # no cookie is looked at: a browser without the guest's key has nothing to abuse
        @functools.wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            name = request.headers.get("X-Client-Name", "")
            if config.site().guests.get(name) != kind:
                _log.warning("refused %s %s to %r: not a %s", request.method, request.path, name[:80], kind)
                return _error(403, f"{name[:80]!r} is no {kind} of this cluster: it is missing in the panel's guests")
            try:
                return view(request, name)
            except OperationalError:
                _log.exception("the database does not answer")
                return _error(503, "the panel's database does not answer: try again later")

        return guarded

    return decorate


@require_GET
@_for_guest("pbx")
def snapshot(request: HttpRequest, pbx: str) -> HttpResponse:
    """Answer the publication in force; with ``wait=S``, wait so long for another than ``If-None-Match`` names."""
    wait = _number(request, "wait")
    if wait is None:
        return _error(400, "wait: write a whole number of seconds")
    known = {etag.removeprefix("W/").strip('"') for etag in parse_etags(request.headers.get("If-None-Match", ""))}
    publication = publish.wait_for_other(pbx, known, min(wait, MAX_WAIT))
    if publication is None:
        return _error(404, f"nothing is published for {pbx} yet: run `centralino apply`")
    tag = f'"{publication.etag}"'
    if publication.etag in known:
        return HttpResponse(status=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    return HttpResponse(publication.document.encode(), content_type="application/json", headers=headers)


@require_POST
@_for_guest("pbx")
def result(request: HttpRequest, pbx: str) -> HttpResponse:
    """Take an ``ApplyResult`` of the PBX that sends it."""
    # Django reads no body before it is asked for, and nginx tells its length.
    if int(request.headers.get("Content-Length") or 0) > MAX_RESULT_BYTES:
        return _error(413, f"a result has at most {MAX_RESULT_BYTES} bytes")
    try:
        told = ApplyResult.model_validate_json(request.body)
    except ValidationError as error:
        finding = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in finding["loc"]) or "body"
        return _error(422, f"{where}: {finding['msg']}")
    if told.pbx != pbx:
        return _error(403, f"{pbx} cannot tell the result of {told.pbx}")
    results.record(told)
    return HttpResponse(status=204)


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
        last = _number(request, "upto")
        if last is None:
            return _error(400, "upto: write the id of the last one that was told")
        check_sync.told(pbx, last)
        return HttpResponse(status=204)
    wait = _number(request, "wait")
    if wait is None:
        return _error(400, "wait: write a whole number of seconds")
    document = check_sync.wait_for_any(pbx, min(wait, MAX_WAIT)).model_dump_json().encode()
    return HttpResponse(document, content_type="application/json", headers={"Cache-Control": "no-store"})


def _number(request: HttpRequest, name: str) -> int | None:
    """Return a query's number, 0 where it is not given and None where it is none."""
    text = request.GET.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004 - as bigint has
