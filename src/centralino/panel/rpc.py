"""The XML-RPC API (``/rpc``): for operators' programs, what the ``centralino`` command is for operators.

A program shows a certificate, which nginx has verified by an authority for such programs alone (its subject is in
``X-Api-Client``, which nginx overwrites on every request), and an operator's log-in and password by HTTP's basic
authentication (RFC 7617). Wrong passwords count as those at the log-in page do.

Every procedure calls a service; what a service refuses comes back as a fault with the service's own sentence. Times are
UTC. The documentation of a procedure is what ``system.methodHelp`` answers.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from xmlrpc.client import Fault, dumps

from axes.utils import reset
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from modernrpc import Protocol, RpcNamespace, RpcRequestContext, RpcServer
from modernrpc.exceptions import RPCException, RPCInternalError, RPCInvalidParams
from pydantic import ConfigDict, Field, PlainValidator, ValidationError, validate_call

from centralino.contract.bans import DAY, MAX_SECONDS
from centralino.contract.fields import TenantId
from centralino.contract.tenant_file import TenantFileError
from centralino.panel.addresses import client_address, client_counted_as
from centralino.panel.models import Ban, Tenant, User
from centralino.panel.services import bans, publish, results, tenant_files, tenants
from centralino.panel.services.errors import ServiceError

REFUSED: Final = 1
"""Fault code: the request is understood and cannot be met; nothing was changed."""
UNAVAILABLE: Final = 2
"""Fault code: the database does not answer; the same request may be sent again later."""
_HOUR: Final = 3600
_CHALLENGE: Final = 'Basic realm="Centralino", charset="UTF-8"'

_log = logging.getLogger(__name__)


@login_not_required
@csrf_exempt  # no cookie is looked at: a browser has neither the certificate nor a reason to send a password
@require_POST
def entrance(request: HttpRequest) -> HttpResponse:
    """Let an operator's program in and carry out the one call that it sends."""
    if not request.headers.get("X-Api-Client"):
        raise Http404
    try:
        user = _authenticated(request)
    except DatabaseError as error:
        fault = Fault(UNAVAILABLE, _unavailable(error))
        return HttpResponse(dumps(fault), content_type="text/xml; charset=utf-8")
    if user is None:
        return _plain(401, "an operator's log-in and password are needed", {"WWW-Authenticate": _CHALLENGE})
    if not user.is_operator:
        _log.warning("refused %s at the API: not an operator", user.login)
        return _plain(403, f"{user.login} is no operator: only operators use this interface")
    request.user = user
    try:
        response: HttpResponse = _server.view(request)
    except Exception as error:  # noqa: BLE001 - whatever a procedure raises is a fault by now: only reading is left
        _log.info("a document that is no call, from %s: %r", user.login, error)
        return _plain(400, "this cannot be read as an XML-RPC call")
    return response


def _authenticated(request: HttpRequest) -> User | None:
    """Return who the basic authentication names and proves; failures are counted by who listens to Django's signal."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        login, separator, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    login = login.strip().lower()
    if not separator or "\0" in login:
        return None
    user = authenticate(request, username=login[:80], password=password[:1000])
    if not isinstance(user, User):
        return None
    # What a log-in at the page does by its signal, without the entry in a table of log-ins that each call would add.
    bans.right_password(client_address(request), user.login)
    reset(ip=client_counted_as(request), username=login)
    return user


def _plain(status: int, sentence: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _as_fault(error: BaseException, _: RpcRequestContext) -> None:
    """Give each failure its code and a sentence; what nobody expected is told to the journal alone."""
    match error:
        case RPCException():
            return
        case ServiceError() | TenantFileError():
            raise RPCException(REFUSED, str(error))
        case ValidationError():
            finding = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise RPCInvalidParams(f"{'.'.join(str(part) for part in finding['loc'])}: {finding['msg']}")
        case DatabaseError():
            raise RPCException(UNAVAILABLE, _unavailable(error))
        case _:
            _log.error("a call failed", exc_info=error)
            raise RPCInternalError("this is a fault of the panel: its journal tells more")


def _unavailable(error: DatabaseError) -> str:
    """Tell the journal what the database said, and return the sentence for who called."""
    _log.error("the database refuses or does not answer", exc_info=error)
    return "the panel's database does not answer: try again later"


_server = RpcServer(supported_protocol=Protocol.XML_RPC, error_handler=_as_fault)
# One request, one call: nginx counts requests.
del _server.procedures["system.multicall"]
_checked = validate_call(config=ConfigDict(strict=True))
Context = Annotated[RpcRequestContext, PlainValidator(lambda context: context)]
"""What a procedure asks for that needs to know who calls: no parameter of the call's."""


def _procedure[**P, R](name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Offer a function under ``namespace.name``, its parameters checked as they are annotated."""
    namespace, _, own = name.partition(".")

    def offer(function: Callable[P, R]) -> Callable[P, R]:
        checked: Callable[P, R] = _checked(function)
        registry = RpcNamespace()
        registry.register_procedure(
            checked, name=own, context_target="_context" if "_context" in function.__annotations__ else None
        )
        _server.register_namespace(registry, namespace)
        return checked

    return offer


@_procedure("tenant.list")
def tenant_list() -> list[dict[str, Any]]:
    """Return every tenant: id, name, pbx, networks, and how many extensions and devices it has."""
    return [
        {**_told(tenant), "extensions": tenant.extension_count, "devices": tenant.device_count}
        for tenant in tenants.every()
    ]


@_procedure("tenant.show")
def tenant_show(tenant: TenantId) -> dict[str, Any]:
    """Return one tenant: id, name, pbx and networks."""
    return _told(tenants.get(tenant))


@_procedure("tenant.import")
def tenant_import(content: str, dry_run: bool = False) -> dict[str, Any]:
    """Make the database hold exactly what a tenant file (YAML) says of its tenant; with dry_run only tell.

    Returns tenant, outcome (created, changed or unchanged) and changes. Nothing is live before apply.publish.
    """
    file = tenant_files.read(content.encode(), source="content")
    report = tenants.import_tenant(file, source="content", dry_run=dry_run)
    return {"tenant": report.tenant, "outcome": report.outcome, "changes": list(report.changes)}


@_procedure("extension.list")
def extension_list(tenant: TenantId) -> list[dict[str, Any]]:
    """Return a tenant's extensions by their numbers: number, name, devices (how many) and logins."""
    return [
        {
            "number": extension.number,
            "name": extension.name,
            "devices": extension.device_count,
            "logins": [user.login for user in extension.users.all()],
        }
        for extension in tenants.extensions(tenants.get(tenant))
    ]


@_procedure("apply.publish")
def apply_publish(pbx: list[str] | None = None, *, _context: Context) -> list[dict[str, Any]]:
    """Publish the stored configuration, to every PBX or to those that are named.

    Returns pbx, etag and new for each; apply.state tells later what became of it.
    """
    published = publish.publish_each(pbx or (), by=_operator(_context).login)
    return [{"pbx": name, "etag": row.etag, "new": new} for name, (row, new) in published.items()]


@_procedure("apply.state")
def apply_state() -> list[dict[str, Any]]:
    """Return where every PBX stands: pbx, state (none, pending, live, refused or reverted), etag and message."""
    return [
        {
            "pbx": state.pbx,
            "state": state.state,
            "etag": state.publication.etag if state.publication else "",
            "message": state.record.message if state.record else "",
        }
        for state in results.states()
    ]


@_procedure("ban.list")
def ban_list() -> list[dict[str, Any]]:
    """Return the bans in force: address, part, guest, reason, since and until."""
    return [_banned(ban) for ban in bans.in_force()]


@_procedure("ban.add")
def ban_add(
    address: str,
    hours: Annotated[int, Field(ge=1, le=MAX_SECONDS // _HOUR)] = DAY // _HOUR,
    reason: Annotated[str, Field(max_length=150)] = "banned by a program",
    *,
    _context: Context,
) -> dict[str, Any]:
    """Ban an address on the whole cluster, within two seconds; return the ban."""
    own: Iterable[str] = filter(None, [client_address(_context.request)])
    by = _operator(_context).login
    return _banned(bans.add(address, seconds=hours * _HOUR, reason=reason, by=by, own=own))


@_procedure("ban.lift")
def ban_lift(address: str, *, _context: Context) -> bool:
    """Let an address in again, at once and everywhere; return whether it was banned."""
    return bans.lift(address, by=_operator(_context).login)


def _operator(context: RpcRequestContext) -> User:
    user = context.request.user
    assert isinstance(user, User)  # noqa: S101 - the entrance let nobody else in
    return user


def _told(tenant: Tenant) -> dict[str, Any]:
    return {"id": tenant.id, "name": tenant.name, "pbx": tenant.pbx, "networks": list(tenant.networks)}


def _banned(ban: Ban) -> dict[str, Any]:
    return {
        "address": ban.address,
        "part": ban.part,
        "guest": ban.guest,
        "reason": ban.reason,
        "since": _utc(ban.since),
        "until": _utc(ban.until),
    }


def _utc(moment: datetime) -> datetime:
    """Return a time as XML-RPC carries it, which knows no zones."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
