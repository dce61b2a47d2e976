"""The calls of all tenants, from the events of their channels. Pure: events in, changes out.

A call is what Asterisk gives one ``Linkedid``, and who talks in one bridge with it: a call that is picked up from the
page comes from two that keep a ``Linkedid`` each. A tenant's side of it is its own channels, as their
names tell (``PJSIP/t175-…``). The other side, a carrier's channel, say, is told by what the tenant's own phone shows:
the connected line. So nothing is shown to a tenant that its phones do not show.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from centralino.contract.live import Call, CallParty
from centralino.cti.ami.message import Message
from centralino.cti.sections import Changes, Shelf, merge
from centralino.cti.tenancy import tenant_of_channel

ExtensionOf = Callable[[int, str], str | None]
"""Tenant and endpoint → the number of the extension whose device it is."""
HearsMusic = Callable[[int, str], bool]
"""Tenant and extension → whether others hold all of its calls."""

_UP: Final = "6"
_RINGING: Final = "5"
_CALL: Final = "basic"
"""The type of a bridge that is one call: in a conference, and where parked calls wait, many are."""

EVENTS: Final = frozenset(
    (
        "Newchannel",
        "Newstate",
        "NewCallerid",
        "NewConnectedLine",
        "Rename",
        "Hold",
        "Unhold",
        "BridgeEnter",
        "BridgeLeave",
        "BridgeDestroy",
        "Hangup",
    )
)


_TOLD: Final = itemgetter(
    "Channel", "ChannelState", "CallerIDNum", "CallerIDName", "ConnectedLineNum", "ConnectedLineName", "Linkedid"
)
_REPEATS: Final = frozenset(("Newstate", "NewCallerid", "NewConnectedLine", "BridgeEnter", "BridgeLeave"))
"""Events that often tell what is known already."""
_BRIDGING: Final = frozenset(("BridgeEnter", "BridgeLeave"))


class Channel(NamedTuple):
    """One of a tenant's channels; it begins by the texts of :data:`_TOLD`."""

    name: str
    state: str
    number: str
    caller: str
    other_number: str
    other_name: str
    linked: str
    tenant: int
    held: bool
    since: int
    call: str
    """Its call: its own ``Linkedid``, or that of the first in its bridge."""


class Calls:
    """The channels of all PBXes, and the calls that they make up."""

    def __init__(self, extension_of: ExtensionOf, hears_music: HearsMusic) -> None:
        self.shelf: Shelf[Call] = Shelf("calls")
        self._extension_of = extension_of
        self._hears_music = hears_music
        self._channels: dict[str, dict[str, Channel]] = {}
        self._names: dict[tuple[int, str], tuple[str, str]] = {}
        self._linked: dict[tuple[str, int, str], set[str]] = {}
        self._bridges: dict[str, dict[str, str]] = {}
        self._joined: dict[str, dict[str, str]] = {}
        self._listed: dict[str, frozenset[str]] = {}
        """The bridges that are calls, until the list of channels comes that names them."""

    def channel_of(self, tenant: int, name: str) -> tuple[str, Channel] | None:
        """Return a tenant's channel and its PBX by the channel's name."""
        place = self._names.get((tenant, name))
        if place is None:
            return None
        server, unique = place
        return server, self._channels[server][unique]

    def event(self, server: str, message: Message, now: int) -> Changes:
        """Take one of :data:`EVENTS`; return the calls that changed."""
        headers = message.headers
        unique = headers.get("Uniqueid", "")
        channels = self._channels.setdefault(server, {})
        known = channels.get(unique)
        if known is not None and message.name in _REPEATS and _is_known(known, headers):
            if message.name not in _BRIDGING:
                return {}
            call = self._call(server, message, known.linked, known)
            return {} if call == known.call else self._set(server, unique, known._replace(call=call), now)
        if message.name == "BridgeDestroy":
            self._bridges.get(server, {}).pop(headers.get("BridgeUniqueid", ""), None)
            return {}
        if message.name == "Hangup":
            return {} if known is None else self._set(server, unique, None, now)
        name = headers.get("Newname") or headers.get("Channel", "")
        tenant = tenant_of_channel(name)
        if tenant is None or not unique:
            # A masquerade may give a channel that was a tenant's a name that is nobody's.
            return self._join(server, message, now) if known is None else self._set(server, unique, None, now)
        if known is not None and known.tenant != tenant:
            # Who talks to whom is nothing that another tenant may be shown.
            known = None
        get = headers.get
        state = get("ChannelState") or (known.state if known else "")
        linked = get("Linkedid") or (known.linked if known else unique)
        channel = Channel(
            name,
            state,
            get("CallerIDNum", known.number if known else ""),
            get("CallerIDName", known.caller if known else ""),
            get("ConnectedLineNum", known.other_number if known else ""),
            get("ConnectedLineName", known.other_name if known else ""),
            linked,
            tenant,
            message.name == "Hold" or (known is not None and known.held and message.name != "Unhold"),
            known.since if known and known.state == state else now,
            self._call(server, message, linked, known),
        )
        return {} if channel == known else self._set(server, unique, channel, now)

    def note_bridges(self, server: str, listed: Iterable[Message]) -> None:
        """Take what ``BridgeList`` listed, for the list of channels that is to follow."""
        calls = (m.headers.get("BridgeUniqueid", "") for m in listed if m.headers.get("BridgeType") == _CALL)
        self._listed[server] = frozenset(calls)

    def replace(self, server: str, listed: Iterable[Message], now: int) -> Changes:
        """Take what ``CoreShowChannels`` listed; return the calls that changed."""
        changes: Changes = {}
        before, seen = set(self._channels.get(server, ())), set()
        for message in listed:
            unique = message.headers.get("Uniqueid", "")
            seen.add(unique)
            began = now - _milliseconds(message.headers.get("Duration", ""))
            merge(changes, self.event(server, message, now if unique in before else began))
        self._listed.pop(server, None)
        merge(changes, self._find_holders(server, seen - before, now))
        for unique in [u for u in self._channels.get(server, {}) if u not in seen]:
            merge(changes, self._set(server, unique, None, now))
        going_on = {channel.call for channel in self._channels.get(server, {}).values()}
        bridges = self._bridges.get(server, {})
        self._bridges[server] = {bridge: call for bridge, call in bridges.items() if call in going_on}
        joined = self._joined.get(server, {})
        self._joined[server] = {linked: call for linked, call in joined.items() if call in going_on}
        return changes

    def _find_holders(self, server: str, found: set[str], now: int) -> Changes:
        """Note who holds a call of two channels that were found, not watched.

        No list tells who pressed the key; the state of the extension whose phone hears the music does.
        """
        changes: Changes = {}
        channels = self._channels.get(server, {})
        for channel in [channels[unique] for unique in found if unique in channels]:
            number = self._extension_of(channel.tenant, endpoint_of(channel.name))
            others = [u for u in self._linked[server, channel.tenant, channel.call] if channels[u].name != channel.name]
            if number is not None and len(others) == 1 and found.issuperset(others):
                holder = channels[others[0]]
                if not holder.held and self._hears_music(channel.tenant, number):
                    merge(changes, self._set(server, others[0], holder._replace(held=True), now))
        return changes

    def _join(self, server: str, message: Message, now: int) -> Changes:
        """Take an event of nobody's channel: a Local one in a bridge brings its call's other channels along."""
        if self._bridge(server, message) is None:
            return {}
        linked = message.headers.get("Linkedid", "")
        call = self._call(server, message, linked, None)
        changes: Changes = {}
        # Who takes a parked call has that call's Linkedid already; the phone behind has the former one still, which is
        # the Uniqueid of the first half.
        for left in {linked, message.headers.get("Uniqueid", "")} - {call, ""}:
            # Those of it that enter a bridge of their own later, as the phone that takes a parked call may, come, too.
            self._joined.setdefault(server, {})[left] = call
            for unique, channel in list(self._channels.get(server, {}).items()):
                if channel.call == left:
                    merge(changes, self._set(server, unique, channel._replace(call=call), now))
        return changes

    def _call(self, server: str, message: Message, linked: str, known: Channel | None) -> str:
        """Return the call that a channel is part of after an event."""
        bridge = self._bridge(server, message)
        if bridge is not None:
            bridges, joined = self._bridges.setdefault(server, {}), self._joined.get(server, {})
            call = bridges.setdefault(bridge, linked)
            return joined.get(call, call)
        if message.name == "BridgeLeave" or known is None or known.call == linked:
            return linked
        # Who enters a bridge may bring an older Linkedid, which those in it get without an event; one that comes later
        # tells of it, and they are in the bridge's call as before.
        in_bridge = known.call != known.linked or known.call in self._bridges.get(server, {}).values()
        return known.call if in_bridge else linked

    def _bridge(self, server: str, message: Message) -> str | None:
        """Return the bridge that is a call and that an event tells a channel to be in."""
        headers = message.headers
        if message.name == "BridgeEnter" and headers.get("BridgeType") == _CALL:
            return headers.get("BridgeUniqueid", "")
        bridge = headers.get("BridgeId") if message.name == "CoreShowChannel" else None
        return bridge if bridge in self._listed.get(server, ()) else None

    def _set(self, server: str, unique: str, channel: Channel | None, now: int) -> Changes:
        channels = self._channels[server]
        before = channels.pop(unique, None)
        if before is not None:
            self._names.pop((before.tenant, before.name), None)
        if channel is not None:
            channels[unique] = channel
            self._names[channel.tenant, channel.name] = (server, unique)
        changes: Changes = {}
        for side in {(c.tenant, c.call) for c in (before, channel) if c is not None}:
            members = self._linked.setdefault((server, *side), set())
            if channel is not None and side == (channel.tenant, channel.call):
                members.add(unique)
            else:
                members.discard(unique)
            if not members:
                del self._linked[server, *side]
                self._part(server, side[1])
            merge(changes, self._tell(server, *side, sorted(members, key=_age), now))
        return changes

    def _part(self, server: str, call: str) -> None:
        """Forget what joined a call that is over for a tenant."""
        joined = self._joined.get(server)
        if joined:
            self._joined[server] = {linked: other for linked, other in joined.items() if other != call}

    def _tell(self, server: str, tenant: int, linked: str, members: list[str], now: int) -> Changes:
        key = f"{server}:{linked}"
        if not members:
            return self.shelf.put(server, tenant, key, None)
        channels = [self._channels[server][unique] for unique in members]
        parties = [
            CallParty(
                extension=self._extension_of(tenant, endpoint_of(channel.name)),
                number=text(channel.number),
                name=text(channel.caller),
                channel=channel.name,
                state=_state(channel),
            )
            for channel in channels
        ]
        if len(parties) == 1:
            parties.append(CallParty(number=text(channels[0].other_number), name=text(channels[0].other_name)))
        states = {party.state for party in parties if party.state}
        state: Literal["ringing", "up", "held"]
        state = "held" if "held" in states else "up" if states == {"up"} else "ringing"
        former = self.shelf.get(tenant, key)
        if former is None:
            began = min(channel.since for channel in channels)
        else:
            # A call that is found, not watched, began when its oldest channel did, which need not be listed first.
            began = min(former.since, now) if former.state == state else now
        return self.shelf.put(server, tenant, key, Call(state=state, since=began, parties=tuple(parties)))


def endpoint_of(channel: str) -> str:
    """Return the endpoint of ``PJSIP/t175-k3…-0000002a``."""
    return channel.partition("/")[2].rpartition("-")[0]


def text(value: str | None) -> str:
    """Return what a header says; Asterisk writes ``<unknown>`` for nothing."""
    return "" if value is None or value == "<unknown>" else value


def whole_number(value: str) -> int:
    """Return a header's whole number, 0 for what is none."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0  # noqa: PLR2004 - a billion


def _is_known(channel: Channel, headers: Mapping[str, str]) -> bool:
    try:
        return bool(_TOLD(headers) == channel[:7])
    except KeyError:
        return False


def _age(unique: str) -> tuple[int, str]:
    """Return what sorts channels by when they began: a Uniqueid is a time and a number, which both only grow."""
    return len(unique), unique


def _state(channel: Channel) -> Literal["dialling", "ringing", "up", "held"]:
    if channel.held:
        return "held"
    if channel.state == _UP:
        return "up"
    return "ringing" if channel.state == _RINGING else "dialling"


def _milliseconds(duration: str) -> int:
    """Return the length of ``HH:MM:SS``."""
    seconds = 0
    for part in duration.split(":"):
        if not (part.isascii() and part.isdigit()):
            return 0
        seconds = seconds * 60 + int(part)
    return seconds * 1000
