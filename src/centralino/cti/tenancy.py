"""Which tenant an event belongs to: one table, and what it cannot decide is nobody's.

An event reaches a tenant only when three things hold:

1. its name is in :data:`OWNERS`; what Asterisk may send besides is nobody's;
2. every owner header that it carries with a value names that tenant, and at least one does. A channel names its tenant
   by its endpoint (``PJSIP/t175-…``); a Local channel names a context that a caller may choose, so it names nobody, and
   an event with one of them is nobody's;
3. no other header names another tenant's object. Only the texts of :data:`FREE_TEXT` are exempt: a caller chooses them,
   and must not be able to hide his call from its owner by calling himself ``t9-x``.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from centralino.contract import names
from centralino.contract.names import internal_context
from centralino.cti.ami.message import Kind, Message
from centralino.cti.state import Hint, state_of

Reader = Callable[[str], int | None]

# The same names come again and again: a call's channel in each of its events.
tenant_of: Final = lru_cache(8192)(names.tenant_of)
tenant_of_channel: Final = lru_cache(8192)(names.tenant_of_channel)


def own_name(name: str) -> str:
    """Return an object's name as its tenant knows it: ``sales`` for ``t175-sales``."""
    return name.partition("-")[2] or name


def _mailbox(value: str) -> int | None:
    """``101@t175-voicemail``: the context behind the at sign."""
    return tenant_of(value.partition("@")[2])


def _presentity(value: str) -> int | None:
    """``CustomPresence:t175-dnd-101``: our own words for a presence state, which no caller chooses."""
    provider, _, name = value.partition(":")
    return tenant_of(name) if provider == names.PRESENCE_PROVIDER else None


def _line(value: str) -> int | None:
    """``PJSIP/t175-…`` or ``Local/101@t175-internal/n``: what a queue rings is set by us, never by a caller."""
    context = value.partition("@")[2].partition("/")[0]
    return tenant_of(context) if value.startswith("Local/") else tenant_of_channel(value)


CHANNEL: Final[dict[str, Reader]] = {"Channel": tenant_of_channel}
_CALLER_AND_CALLED: Final[dict[str, Reader]] = {"Channel": tenant_of_channel, "DestChannel": tenant_of_channel}
_QUEUE: Final[dict[str, Reader]] = {"Queue": tenant_of}
_QUEUE_CALLER: Final[dict[str, Reader]] = {**_QUEUE, **CHANNEL}
_QUEUE_MEMBER: Final[dict[str, Reader]] = {**_QUEUE, "Interface": _line}
_QUEUE_CALL: Final[dict[str, Reader]] = {**_QUEUE_MEMBER, **_CALLER_AND_CALLED}
_CONFERENCE: Final[dict[str, Reader]] = {"Conference": tenant_of}
_CONFERENCE_CALLER: Final[dict[str, Reader]] = {**_CONFERENCE, **CHANNEL}
_PARKED: Final[dict[str, Reader]] = {"Parkinglot": tenant_of, "ParkeeChannel": tenant_of_channel}
_ATTENDED: Final[dict[str, Reader]] = {
    f"{party}Channel": tenant_of_channel
    for party in ("OrigTransferer", "SecondTransferer", "Transferee", "TransferTarget", "LocalOne", "LocalTwo")
}

OWNERS: Final[Mapping[str, Mapping[str, Reader]]] = {
    # extensions and devices
    "ExtensionStatus": {"Context": tenant_of},
    "PresenceStatus": {"Context": tenant_of},
    "PresenceStateChange": {"Presentity": _presentity},
    "DeviceStateChange": {"Device": tenant_of_channel},
    "PeerStatus": {"Peer": tenant_of_channel},
    "ContactStatus": {"AOR": tenant_of, "EndpointName": tenant_of},
    "MessageWaiting": {"Mailbox": _mailbox},
    # calls
    "Newchannel": CHANNEL,
    "Newstate": CHANNEL,
    "NewConnectedLine": CHANNEL,
    "NewCallerid": CHANNEL,
    "NewAccountCode": CHANNEL,
    "Newexten": CHANNEL,
    "Rename": {**CHANNEL, "Newname": tenant_of_channel},
    "VarSet": CHANNEL,
    "HangupRequest": CHANNEL,
    "SoftHangupRequest": CHANNEL,
    "Hangup": CHANNEL,
    "Hold": CHANNEL,
    "Unhold": CHANNEL,
    "MusicOnHoldStart": CHANNEL,
    "MusicOnHoldStop": CHANNEL,
    "DTMFBegin": CHANNEL,
    "DTMFEnd": CHANNEL,
    "DialBegin": _CALLER_AND_CALLED,
    "DialState": _CALLER_AND_CALLED,
    "DialEnd": _CALLER_AND_CALLED,
    "BridgeEnter": CHANNEL,
    "BridgeLeave": CHANNEL,
    "Pickup": {**CHANNEL, "TargetChannel": tenant_of_channel},
    "ChanSpyStart": {"SpyerChannel": tenant_of_channel, "SpyeeChannel": tenant_of_channel},
    "ChanSpyStop": {"SpyerChannel": tenant_of_channel, "SpyeeChannel": tenant_of_channel},
    "BlindTransfer": {"TransfererChannel": tenant_of_channel, "TransfereeChannel": tenant_of_channel},
    "AttendedTransfer": _ATTENDED,
    # queues
    "QueueCallerJoin": _QUEUE_CALLER,
    "QueueCallerLeave": _QUEUE_CALLER,
    "QueueCallerAbandon": _QUEUE_CALLER,
    "QueueMemberAdded": _QUEUE_MEMBER,
    "QueueMemberRemoved": _QUEUE_MEMBER,
    "QueueMemberPause": _QUEUE_MEMBER,
    "QueueMemberPenalty": _QUEUE_MEMBER,
    "QueueMemberRinginuse": _QUEUE_MEMBER,
    "QueueMemberStatus": _QUEUE_MEMBER,
    "AgentCalled": _QUEUE_CALL,
    "AgentConnect": _QUEUE_CALL,
    "AgentComplete": _QUEUE_CALL,
    "AgentDump": _QUEUE_CALL,
    "AgentRingNoAnswer": _QUEUE_CALL,
    # parking and conferences
    "ParkedCall": {**_PARKED, "ParkerChannel": tenant_of_channel},
    "ParkedCallTimeOut": _PARKED,
    "ParkedCallGiveUp": _PARKED,
    "UnParkedCall": {**_PARKED, "RetrieverChannel": tenant_of_channel},
    "ConfbridgeStart": _CONFERENCE,
    "ConfbridgeEnd": _CONFERENCE,
    "ConfbridgeJoin": _CONFERENCE_CALLER,
    "ConfbridgeLeave": _CONFERENCE_CALLER,
    "ConfbridgeMute": _CONFERENCE_CALLER,
    "ConfbridgeUnmute": _CONFERENCE_CALLER,
    "ConfbridgeTalking": _CONFERENCE_CALLER,
}
"""Event → the headers that say whose it is, each with the function that reads a tenant from it."""

_PARTIES = (
    "",
    "Dest",
    "Spyer",
    "Spyee",
    "Target",
    "Transferer",
    "Transferee",
    "TransferTarget",
    "Parkee",
    "Parker",
    "Retriever",
)
FREE_TEXT: Final = frozenset(
    f"{party}{text}"
    for party in (*_PARTIES, "OrigTransferer", "SecondTransferer", "LocalOne", "LocalTwo")
    for text in ("CallerIDName", "CallerIDNum", "ConnectedLineName", "ConnectedLineNum")
) | {"Exten", "DestExten", "MemberName", "PausedReason", "Cause-txt", "UserAgent"}
"""What callers and users write themselves; it tells nobody's tenant."""

_NAMED = re.compile(r"(?<![A-Za-z0-9])t([1-9][0-9]{0,7})(?![0-9A-Za-z])")
"""``t175-…`` anywhere in a value, and an account code ``t175``."""
_MAYBE_NAMED = re.compile(r"t([1-9][0-9]{0,7})(?![0-9A-Za-z])")
"""Finds all that :data:`_NAMED` finds and more, five times as fast, for it begins by a letter."""


def tenant_of_event(message: Message) -> int | None:
    """Return the one tenant that may see an event, or None."""
    owners = OWNERS.get(message.name) if message.kind is Kind.EVENT else None
    if owners is None or message.repeated is not None:
        # A repeated header could name two owners; Asterisk repeats variables only, and those go to nobody.
        return None
    headers = message.headers
    tenant: int | None = None
    for header, read in owners.items():
        value = headers.get(header)
        if not value:
            continue
        owner = read(value)
        if owner is None or (tenant is not None and owner != tenant):
            return None
        tenant = owner
    if tenant is None:
        return None
    # Nearly always no other tenant is named anywhere, which one look at the whole text tells.
    maybe = _MAYBE_NAMED.findall(message.text) if message.text else ()
    own = str(tenant)
    if maybe and maybe.count(own) == len(maybe):
        return tenant
    return None if _names_another(headers, own) else tenant


def _names_another(headers: Mapping[str, str], own: str) -> bool:
    return any(
        found != own
        for header, value in headers.items()
        if "t" in value and header not in FREE_TEXT
        for found in _NAMED.findall(value)
    )


NUMBER: Final = re.compile(r"[0-9]{2,8}")
"""An extension's number, whole (``ExtensionNumber``): no message for browsers can hold another."""


def hint_of(message: Message) -> Hint | None:
    """Return what an ``ExtensionStatus`` tells, or None where it is no hint of a tenant's extension."""
    headers = message.headers
    context, number = headers.get("Context", ""), headers.get("Exten", "")
    tenant = tenant_of(context)
    if tenant is None or context != internal_context(tenant) or not NUMBER.fullmatch(number):
        return None
    return Hint(tenant, number, state_of(headers.get("Status", "")), _endpoints(headers.get("Hint", ""), tenant))


def _endpoints(hint: str, tenant: int) -> tuple[str, ...]:
    """Return the tenant's own endpoints of ``PJSIP/t175-…&PJSIP/t175-…``."""
    return tuple(
        device.partition("/")[2] for device in hint.partition(",")[0].split("&") if tenant_of_channel(device) == tenant
    )
