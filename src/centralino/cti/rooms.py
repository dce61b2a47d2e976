"""Parked calls and conferences of all tenants. Pure: events in, changes out."""

from collections.abc import Iterable
from typing import Final

from centralino.contract.live import Conference, Parked, Participant
from centralino.cti.ami.message import Message
from centralino.cti.calls import ExtensionOf, endpoint_of, text, whole_number
from centralino.cti.sections import Changes, Shelf
from centralino.cti.tenancy import own_name, tenant_of, tenant_of_channel

PARKING_EVENTS: Final = frozenset(
    ("ParkedCall", "ParkedCallSwap", "ParkedCallTimeOut", "ParkedCallGiveUp", "UnParkedCall")
)
CONFERENCE_EVENTS: Final = frozenset(
    ("ConfbridgeStart", "ConfbridgeEnd", "ConfbridgeJoin", "ConfbridgeLeave", "ConfbridgeMute", "ConfbridgeUnmute")
)


class Rooms:
    """Where calls wait and where they meet; names are without the tenant's prefix."""

    def __init__(self, extension_of: ExtensionOf) -> None:
        self.parked: Shelf[Parked] = Shelf("parked")
        self.conferences: Shelf[Conference] = Shelf("conferences")
        self._extension_of = extension_of
        self._members: dict[str, dict[str, dict[str, Participant]]] = {}

    def parking(self, server: str, message: Message, now: int) -> Changes:
        """Take one of :data:`PARKING_EVENTS`; return the spaces that changed."""
        entry = self._parked(message, now)
        if entry is None:
            return {}
        tenant, space, parked = entry
        there = message.name in {"ParkedCall", "ParkedCallSwap"}
        return self.parked.put(server, tenant, space, parked if there else None)

    def replace_parked(self, server: str, listed: Iterable[Message], now: int) -> Changes:
        """Take what ``ParkedCalls`` listed."""
        return self.parked.replace(server, [entry for m in listed if (entry := self._parked(m, now)) is not None])

    def conference(self, server: str, message: Message, now: int) -> Changes:
        """Take one of :data:`CONFERENCE_EVENTS`; return the conferences that changed."""
        name = message.headers.get("Conference", "")
        tenant = tenant_of(name)
        if tenant is None:
            return {}
        rooms = self._members.setdefault(server, {})
        if message.name == "ConfbridgeEnd":
            rooms.pop(name, None)
            return self.conferences.put(server, tenant, own_name(name), None)
        members = rooms.setdefault(name, {})
        channel = message.headers.get("Channel", "")
        if message.name == "ConfbridgeLeave":
            members.pop(channel, None)
        elif channel:
            known = members.get(channel)
            muted = message.headers.get("Muted") == "Yes" or message.name == "ConfbridgeMute"
            if known is None:
                members[channel] = self._participant(tenant, message, muted=muted, since=now)
            elif message.name in {"ConfbridgeMute", "ConfbridgeUnmute"}:
                members[channel] = known.model_copy(update={"muted": muted})
        return self.conferences.put(server, tenant, own_name(name), _conference(members))

    def replace_conferences(self, server: str, listed: Iterable[Message], now: int) -> Changes:
        """Take what ``ConfbridgeList`` listed of all conferences."""
        former = self._members.get(server, {})
        rooms: dict[str, dict[str, Participant]] = {}
        for message in listed:
            name, channel = message.headers.get("Conference", ""), message.headers.get("Channel", "")
            tenant = tenant_of(name)
            if tenant is None or not channel:
                continue
            known = former.get(name, {}).get(channel)
            muted = message.headers.get("Muted") == "Yes"
            # Found, not watched: he answered then, and came in then or later.
            since = known.since if known else now - 1000 * whole_number(message.headers.get("AnsweredTime", ""))
            rooms.setdefault(name, {})[channel] = self._participant(tenant, message, muted=muted, since=since)
        self._members[server] = rooms
        values = [(tenant_of(name) or 0, own_name(name), _conference(members)) for name, members in rooms.items()]
        return self.conferences.replace(server, values)

    def _parked(self, message: Message, now: int) -> tuple[int, str, Parked] | None:
        headers = message.headers
        tenant = tenant_of(headers.get("Parkinglot", ""))
        space = headers.get("ParkingSpace", "")
        if tenant is None or not space:
            return None
        waited = 1000 * whole_number(headers.get("ParkingDuration", ""))
        known = self.parked.get(tenant, space)
        parked = Parked(
            **self._party(tenant, headers.get("ParkeeChannel", "")),
            number=text(headers.get("ParkeeCallerIDNum")),
            name=text(headers.get("ParkeeCallerIDName")),
            since=known.since if known else now - waited,
        )
        return tenant, space, parked

    def _participant(self, tenant: int, message: Message, *, muted: bool, since: int) -> Participant:
        headers = message.headers
        return Participant(
            **self._party(tenant, headers.get("Channel", "")),
            number=text(headers.get("CallerIDNum")),
            name=text(headers.get("CallerIDName")),
            muted=muted,
            since=since,
        )

    def _party(self, tenant: int, channel: str) -> dict[str, str]:
        """Return the extension of a channel where it is one of the tenant's own."""
        number = self._extension_of(tenant, endpoint_of(channel)) if tenant_of_channel(channel) == tenant else None
        return {} if number is None else {"extension": number}


def _conference(members: dict[str, Participant]) -> Conference:
    return Conference(participants=tuple(sorted(members.values(), key=lambda member: member.since)))
