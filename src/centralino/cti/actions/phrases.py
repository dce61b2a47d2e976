"""The actions of ``/live`` in the words of :mod:`rules`: a page names extensions and queues, Asterisk lines. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from centralino.contract.live import ActionMessage
from centralino.contract.names import account_code, internal_context, parking_lot, tenant_prefix
from centralino.cti.actions.rules import (
    Actor,
    Order,
    RefusedError,
    decide,
    forwarded,
    line_of,
    own_line,
    picked_up,
    quieted,
    spied,
)


def order(actor: Actor, message: ActionMessage) -> Order:
    """Return what to send for a page's action.

    Raises:
        RefusedError: it is unknown, a field is missing or too much, or the rules refuse it.

    """
    phrase = PHRASES.get(message.action)
    if phrase is None:
        raise RefusedError("unknown_action", f"write one of {', '.join(sorted(PHRASES))}", "action")
    needed, optional, build = phrase
    given = message.model_dump(exclude={"type", "id", "action"}, exclude_none=True)
    for name in needed:
        if name not in given:
            raise RefusedError("field_missing", f"{message.action} needs {name}", name)
    for name in given:
        if name not in needed and name not in optional:
            raise RefusedError("field_refused", f"{message.action} takes no {name}", name)
    try:
        return build(actor, given)
    except RefusedError as refusal:
        # The page is told of its own field, not of Asterisk's.
        field = _FIELDS.get(refusal.field or "", refusal.field)
        raise RefusedError(refusal.code, str(refusal), field) from None


_FIELDS: Final = {
    "Exten": "number",
    "Channel": "channel",
    "Queue": "queue",
    "Interface": "extension",
    "Reason": "reason",
}

_Fields = Mapping[str, Any]


def _originate(actor: Actor, given: _Fields) -> Order:
    fields = {
        "Channel": own_line(actor),
        **_place(actor, given),
        "Priority": "1",
        "CallerID": actor.claims.extension or "",
        "Account": account_code(actor.claims.tenant),
        "Async": "true",
    }
    return decide(actor, "Originate", fields)


def _place(actor: Actor, given: _Fields) -> dict[str, str]:
    return {"Exten": given["number"], "Context": internal_context(actor.claims.tenant)}


def _hangup(actor: Actor, given: _Fields) -> Order:
    return decide(actor, "Hangup", {"Channel": given["channel"], "Cause": "16"})


def _redirect(actor: Actor, given: _Fields) -> Order:
    return decide(actor, "Redirect", {"Channel": given["channel"], **_place(actor, given), "Priority": "1"})


def _transfer(actor: Actor, given: _Fields) -> Order:
    action = "Atxfer" if given.get("attended") else "BlindTransfer"
    return decide(actor, action, {"Channel": given["channel"], **_place(actor, given)})


def _park(actor: Actor, given: _Fields) -> Order:
    tenant, channel = actor.claims.tenant, given["channel"]
    # Who spoke with it hears in which space it waits, and is rung when it has waited too long.
    other = actor.facts.other_channel(tenant, channel)
    rung = {"TimeoutChannel": other} if other else {}
    return decide(actor, "Park", {"Channel": channel, "Parkinglot": parking_lot(tenant), **rung})


def _extension(actor: Actor, given: _Fields) -> str:
    number: str | None = given.get("extension") or actor.claims.extension
    if number is None:
        raise RefusedError("field_missing", "you have no extension of your own: name one", "extension")
    return number


def _member(actor: Actor, given: _Fields) -> dict[str, str]:
    tenant = actor.claims.tenant
    number = _extension(actor, given)
    queue = {"Queue": tenant_prefix(tenant) + given["queue"]} if "queue" in given else {}
    return {**queue, "Interface": line_of(tenant, number)}


def _queue_add(actor: Actor, given: _Fields) -> Order:
    return decide(actor, "QueueAdd", _member(actor, given))


def _queue_remove(actor: Actor, given: _Fields) -> Order:
    return decide(actor, "QueueRemove", _member(actor, given))


def _queue_pause(actor: Actor, given: _Fields) -> Order:
    reason = {"Reason": given["reason"]} if "reason" in given else {}
    return decide(actor, "QueuePause", {**_member(actor, given), "Paused": str(given["paused"]).lower(), **reason})


PHRASES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Actor, _Fields], Order]]]] = {
    "originate": (("number",), (), _originate),
    "hangup": (("channel",), (), _hangup),
    "redirect": (("channel", "number"), (), _redirect),
    "transfer": (("channel", "number"), ("attended",), _transfer),
    "park": (("channel",), (), _park),
    "pickup": (("channel",), (), lambda actor, given: picked_up(actor, given["channel"])),
    "queue_add": (("queue",), ("extension",), _queue_add),
    "queue_remove": (("queue",), ("extension",), _queue_remove),
    "queue_pause": (("paused",), ("queue", "extension", "reason"), _queue_pause),
    "dnd": (("on",), ("extension",), lambda actor, given: quieted(actor, _extension(actor, given), on=given["on"])),
    "forward": (
        ("number",),
        ("extension",),
        lambda actor, given: forwarded(actor, _extension(actor, given), given["number"]),
    ),
    "listen": (("channel",), (), lambda actor, given: spied(actor, given["channel"], whisper=False)),
    "whisper": (("channel",), (), lambda actor, given: spied(actor, given["channel"], whisper=True)),
}
"""Action → fields that it needs, fields that it may have, and what it is to Asterisk."""
