"""The list of all actions that anybody may take, and of the fields that each may have. Pure.

An action goes to Asterisk only when it stands in :data:`RULES`, and only with the fields that stand there, each checked
against what belongs to the user's tenant and what his role may: users act for their own extension and the calls that it
is in, all other roles (leaders) for any extension of the tenant. Whatever else a client sends (``Variable``,
``Application``, another's context) is refused by name; nothing is left out silently.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from centralino.contract.names import (
    DISTURB,
    DO_NOT_DISTURB,
    FORWARDED,
    account_code,
    dnd_state,
    forward_state,
    internal_context,
    parking_lot,
)
from centralino.contract.tokens import Claims
from centralino.cti.calls import endpoint_of
from centralino.cti.tenancy import tenant_of


class RefusedError(Exception):
    """An action that is not carried out; ``code`` is for programs, ``field`` names what was wrong."""

    def __init__(self, code: str, text: str, field: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.field = field


class Facts(Protocol):
    """What the rules need to know of a tenant."""

    def channel_server(self, tenant: int, channel: str) -> str | None:
        """Return the PBX that a tenant's channel is on, or None where there is no such channel."""

    def home(self, tenant: int) -> str | None:
        """Return the tenant's PBX."""

    def number_of(self, tenant: int, endpoint: str) -> str | None:
        """Return the extension that a device belongs to."""

    def extension(self, tenant: int, number: str) -> bool:
        """Tell whether a tenant has an extension."""

    def queue(self, tenant: int, name: str) -> bool:
        """Tell whether a tenant has a queue; the name is without prefix."""

    def shares_call(self, tenant: int, number: str, channel: str) -> bool:
        """Tell whether an extension is in the call that a channel is part of."""

    def other_channel(self, tenant: int, channel: str) -> str | None:
        """Return the channel that speaks with a channel, or None where there is none, or more than one."""


class Actor(NamedTuple):
    """Who acts, and what is known of his tenant."""

    claims: Claims
    facts: Facts

    @property
    def leads(self) -> bool:
        """Whether he may act for others of his tenant."""
        return self.claims.role != "user"


class Order(NamedTuple):
    """An action that may be carried out: on which PBX, and as Asterisk takes it."""

    server: str
    action: str
    fields: dict[str, str]


Check = Callable[[Actor, str], None]
"""Raises :class:`RefusedError` without a field where a value may not be."""

_DIALLED = re.compile(r"[0-9*#+]{1,32}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f,;|]{0,80}")
"""app_queue writes a queue's members into Asterisk's database unescaped, and after a restart splits them at ``,`` and
``|``, their fields at ``;``: a text with these in it would then be one more member, the line of any tenant."""
_LOCAL = re.compile(r"Local/([0-9]{2,8})@([a-z0-9-]{1,79})(?:/n)?")


def _one_of(*words: str) -> Check:
    def check(_: Actor, value: str) -> None:
        if value.lower() not in words:
            raise RefusedError("bad_value", f"write {' or '.join(words)}")

    return check


def _shape(pattern: re.Pattern[str], sentence: str) -> Check:
    def check(_: Actor, value: str) -> None:
        if not pattern.fullmatch(value):
            raise RefusedError("bad_value", sentence)

    return check


def _channel(actor: Actor, value: str) -> None:
    """Take a channel of the tenant; from users, one of a call that they are in."""
    claims = actor.claims
    if actor.facts.channel_server(claims.tenant, value) is None:
        raise RefusedError("unknown_channel", "there is no such channel: take one of a call that is shown")
    own = claims.extension is not None and actor.facts.shares_call(claims.tenant, claims.extension, value)
    if not actor.leads and not own:
        raise RefusedError("not_allowed", "this call is another's: ask a supervisor")


def _number(actor: Actor, line: str) -> str | None:
    """Return the extension of a line of the tenant's (``Local/101@t175-internal/n``, a device), None for any other."""
    tenant = actor.claims.tenant
    local = _LOCAL.fullmatch(line)
    if local is not None:
        return local[1] if local[2] == internal_context(tenant) else None
    technology, _, endpoint = line.partition("/")
    return actor.facts.number_of(tenant, endpoint) if technology == "PJSIP" else None


def _line(actor: Actor, value: str) -> None:
    """Take an extension's line: one's own, from leaders any of the tenant."""
    number = _number(actor, value)
    if number is None or not actor.facts.extension(actor.claims.tenant, number):
        raise RefusedError("unknown_extension", "this is no line of an extension of yours")
    if number != actor.claims.extension and not actor.leads:
        raise RefusedError("not_allowed", "users act for their own extension only")


def _own_line(actor: Actor, value: str) -> None:
    """Take one's own line: nobody, whatever his role, makes another's phone call."""
    _line(actor, value)
    if _number(actor, value) != actor.claims.extension:
        raise RefusedError("not_allowed", "calls begin at one's own extension")


def _state_line(actor: Actor, value: str) -> None:
    _line(actor, re.sub(r"^hint:", "Local/", value))


def _queue(actor: Actor, value: str) -> None:
    tenant = actor.claims.tenant
    if tenant_of(value) != tenant or not actor.facts.queue(tenant, value.partition("-")[2]):
        raise RefusedError("unknown_queue", "there is no such queue")


def _own(name: Callable[[int], str]) -> Check:
    def check(actor: Actor, value: str) -> None:
        if value != name(actor.claims.tenant):
            raise RefusedError("not_allowed", f"this must be {name(actor.claims.tenant)}")

    return check


def _caller_id(actor: Actor, value: str) -> None:
    if value != actor.claims.extension:
        raise RefusedError("not_allowed", "this must be the number of your own extension")


_dialled = _shape(_DIALLED, "write a number: digits, *, # and +, at most 32")
_whole_number = _shape(_NUMBER, "write a whole number of at most 6 digits")
_text = _shape(_TEXT, "write one line of at most 80 characters, without comma, semicolon and vertical bar")
_truth = _one_of("true", "false", "yes", "no", "1", "0")
_context = _own(internal_context)
_first = _one_of("1")


@dataclass(frozen=True)
class Rule:
    """One action of Asterisk's and its fields; what a role may is in their checks."""

    name: str
    fields: Mapping[str, Check]
    required: frozenset[str]
    always: Mapping[str, str]
    """What is sent whatever was written."""


def _rule(
    name: str,
    required: Mapping[str, Check],
    optional: Mapping[str, Check],
    always: Mapping[str, str] = {},
) -> Rule:
    return Rule(name, {**required, **optional}, frozenset(required), always)


_TO = {"Exten": _dialled}
_PLACE: Final = {"Context": _context, "Priority": _first}
RULES: Final[Mapping[str, Rule]] = {
    rule.name.lower(): rule
    for rule in (
        _rule(
            "Originate",
            {"Channel": _own_line, **_TO, "Context": _context},
            {
                "Priority": _first,
                "CallerID": _caller_id,
                "Timeout": _whole_number,
                "Async": _truth,
                "Account": _own(account_code),
            },
            # Else Asterisk reads no other action of the connection, and sends no event, until the phone has answered.
            {"Async": "true"},
        ),
        _rule("Hangup", {"Channel": _channel}, {"Cause": _whole_number}),
        _rule("Redirect", {"Channel": _channel, **_TO, **_PLACE}, {}),
        _rule("BlindTransfer", {"Channel": _channel, **_TO, "Context": _context}, {}),
        _rule("Atxfer", {"Channel": _channel, **_TO, "Context": _context}, {"Priority": _first}),
        _rule("Park", {"Channel": _channel}, {"Parkinglot": _own(parking_lot), "TimeoutChannel": _channel}),
        _rule(
            "QueueAdd",
            {"Queue": _queue, "Interface": _line},
            {"MemberName": _text, "Penalty": _whole_number, "Paused": _truth, "StateInterface": _state_line},
        ),
        _rule("QueueRemove", {"Queue": _queue, "Interface": _line}, {}),
        _rule("QueuePause", {"Interface": _line, "Paused": _truth}, {"Queue": _queue, "Reason": _text}),
    )
}
"""Asterisk's action in small letters → its rule. ``Ping`` is answered by the proxy itself."""


def decide(actor: Actor, action: str, fields: Mapping[str, str]) -> Order:
    """Return what to send for an action as amiws' clients write it; names of fields in any case.

    Raises:
        RefusedError: it is not in the list, not for this role, or a field is missing, unknown or another's.

    """
    rule = RULES.get(action.lower())
    if rule is None:
        raise RefusedError("unknown_action", "this action is not in the list: see the documentation", "Action")
    names = {name.lower(): name for name in rule.fields}
    taken: dict[str, str] = {}
    for written, value in fields.items():
        name = names.get(written.lower())
        if name is None:
            raise RefusedError("field_refused", f"{rule.name} takes no such field", written)
        if name in taken:
            raise RefusedError("bad_field", "this field is there twice", written)
        _verify(actor, rule.fields[name], name, value)
        taken[name] = value
    for name in rule.fields:
        if name in rule.required and name not in taken:
            raise RefusedError("field_missing", f"{rule.name} needs {name}", name)
    taken |= _on_lines(actor, rule.name, taken)
    return Order(_server(actor, taken), rule.name, {**taken, **rule.always})


def _on_lines(actor: Actor, action: str, taken: Mapping[str, str]) -> dict[str, str]:
    """Return the line that a device stands for: Asterisk itself would follow the device's own forward anywhere."""
    if action == "Originate":
        return {"Channel": own_line(actor), "CallerID": actor.claims.extension or ""}
    number = _number(actor, taken.get("Interface", ""))
    if number is None:
        return {}
    line = line_of(actor.claims.tenant, number)
    if action != "QueueAdd":
        return {"Interface": line}
    # Its state is the extension's, so nobody is rung who speaks already.
    state = f"hint:{number}@{internal_context(actor.claims.tenant)}"
    return {"Interface": line, "StateInterface": taken.get("StateInterface", state)}


def _verify(actor: Actor, check: Check, name: str, value: str) -> None:
    if any(c in value for c in "\r\n\0"):
        raise RefusedError("bad_value", "a value is one line of text: remove line breaks", name)
    try:
        check(actor, value)
    except RefusedError as refusal:
        raise RefusedError(refusal.code, str(refusal), name) from None


def _server(actor: Actor, fields: Mapping[str, str]) -> str:
    tenant = actor.claims.tenant
    channel = fields.get("Channel", "")
    server = actor.facts.channel_server(tenant, channel) or actor.facts.home(tenant)
    if server is None:
        raise RefusedError("pbx_unreachable", "your PBX cannot be reached now: try again later")
    return server


def spied(actor: Actor, channel: str, *, whisper: bool) -> Order:
    """Return the call from one's own extension that listens to a channel.

    Raises:
        RefusedError: see :func:`decide`.

    """
    if not actor.leads:
        raise RefusedError("not_allowed", "listening is for supervisors", "action")
    _verify(actor, _channel, "channel", channel)
    if actor.facts.number_of(actor.claims.tenant, endpoint_of(channel)) == actor.claims.extension:
        raise RefusedError("not_allowed", "this is your own call", "channel")
    # E ends with the call that is listened to, q does without a beep that the other would hear.
    return _application(actor, "ChanSpy", f"{channel},qE{'w' if whisper else ''}", channel)


def picked_up(actor: Actor, channel: str) -> Order:
    """Return the call from one's own extension that takes a ringing one over; colleagues do so for each other.

    Raises:
        RefusedError: see :func:`decide`.

    """
    if actor.facts.channel_server(actor.claims.tenant, channel) is None:
        raise RefusedError("unknown_channel", "there is no such channel: take one of a call that is shown", "channel")
    return _application(actor, "PickupChan", channel, channel)


def _application(actor: Actor, application: str, data: str, channel: str) -> Order:
    fields = {
        "Channel": own_line(actor),
        "Application": application,
        "Data": data,
        "CallerID": actor.claims.extension or "",
        "Account": account_code(actor.claims.tenant),
        "Async": "true",
    }
    return Order(_server(actor, {"Channel": channel}), "Originate", fields)


def quieted(actor: Actor, number: str, *, on: bool) -> Order:
    """Return what turns an extension's do-not-disturb on or off; users do so for their own.

    Raises:
        RefusedError: see :func:`decide`.

    """
    _verify(actor, _line, "extension", line_of(actor.claims.tenant, number))
    state = DO_NOT_DISTURB if on else DISTURB
    return _presence(actor, dnd_state(account_code(actor.claims.tenant), number), f"{state},dnd,")


def forwarded(actor: Actor, number: str, to: str) -> Order:
    """Return what forwards an extension's calls to another of the tenant, or to nowhere where ``to`` is empty.

    No other number leads anywhere in a tenant's context, and a feature code is none that calls could go to.

    Raises:
        RefusedError: see :func:`decide`.

    """
    tenant = actor.claims.tenant
    _verify(actor, _line, "extension", line_of(tenant, number))
    if to == number:
        raise RefusedError("bad_value", "an extension cannot be forwarded to itself: write another", "number")
    if to and not actor.facts.extension(tenant, to):
        raise RefusedError("unknown_extension", "calls can be forwarded to an extension of yours only", "number")
    state = FORWARDED if to else DISTURB
    return _presence(actor, forward_state(account_code(tenant), number), f"{state},forward,{to}")


def _presence(actor: Actor, name: str, value: str) -> Order:
    """Return what writes a presence state, which Asterisk keeps over a restart and the dialplan reads."""
    fields = {"Variable": f"PRESENCE_STATE({name})", "Value": value}
    return Order(_server(actor, fields), "Setvar", fields)


def own_line(actor: Actor) -> str:
    """Return the line of one's own extension.

    Raises:
        RefusedError: the user has none.

    """
    if actor.claims.extension is None:
        raise RefusedError("no_extension", "you have no extension that could call", "action")
    return line_of(actor.claims.tenant, actor.claims.extension)


def line_of(tenant: int, number: str) -> str:
    """Return an extension's line, which rings all its devices."""
    return f"Local/{number}@{internal_context(tenant)}/n"
