"""What all tenants' pages show: extensions, calls, queues, parked calls, conferences, and whether it is true."""

from collections.abc import Collection, Mapping

from centralino.contract.live import ExtensionState
from centralino.contract.model import Model
from centralino.cti.ami.message import Message
from centralino.cti.calls import Calls
from centralino.cti.forwards import Forwards
from centralino.cti.queues import Queues
from centralino.cti.rooms import Rooms
from centralino.cti.sections import Changes, Shelf, merge
from centralino.cti.state import Extensions
from centralino.cti.tenancy import hint_of


class Boards:
    """Everything that is known, by tenant."""

    def __init__(self) -> None:
        self.extensions = Extensions()
        self.calls = Calls(self.extensions.number_of, self.extensions.hears_music)
        self.queues = Queues(self.extensions.number_of)
        self.rooms = Rooms(self.extensions.number_of)
        self.forwards = Forwards(self.extensions.server_of_extension)
        self._lost: set[str] = set()
        self._shelves: tuple[Shelf[Model], ...] = (  # type: ignore[assignment] # they are only read and emptied here
            self.calls.shelf,
            self.queues.shelf,
            self.rooms.parked,
            self.rooms.conferences,
        )

    def section(self, tenant: int, section: str) -> Mapping[str, Model]:
        """Return one section of a tenant's board; extensions have a type of their own and are not among them."""
        return next(shelf for shelf in self._shelves if shelf.section == section).of(tenant)

    def states(self, tenant: int, numbers: Collection[str] | None = None) -> dict[str, ExtensionState]:
        """Return a tenant's extensions as its pages show them: all, or those of the numbers that there are."""
        extensions, wish = self.extensions.of(tenant), self.forwards.of
        return {
            number: ExtensionState(state=e.state, since=e.since, **wish(tenant, number)._asdict())
            for number in (extensions if numbers is None else sorted(numbers))
            if (e := extensions.get(number)) is not None
        }

    def connected(self, tenant: int) -> bool:
        """Tell whether a tenant's PBX is within reach; while any is not, a tenant without extensions may be on it."""
        if not self._lost:
            return True
        server = self.extensions.server_of(tenant)
        return server is not None and server not in self._lost

    def reaches(self, server: str) -> bool:
        """Tell whether a PBX is within reach, and has told all."""
        return server not in self._lost

    def expect(self, server: str) -> None:
        """Note a PBX that is configured; it counts as lost until it has told all."""
        self._lost.add(server)

    def listed(self, server: str, action: str, messages: list[Message], now: int) -> dict[str, Changes]:
        """Take the full answer to a list action (:data:`centralino.cti.pictures.LISTS`); return what changed."""
        section, changes = "extensions", Changes()
        match action:
            case "ExtensionStateList":
                changes = self.extensions.replace(server, filter(None, map(hint_of, messages)), now)
                self._lost.discard(server)
            case "PresenceStateList":
                changes = self.forwards.replace(server, messages)
            case "BridgeList":
                self.calls.note_bridges(server, messages)
            case "CoreShowChannels":
                section, changes = "calls", self.calls.replace(server, messages, now)
            case "QueueStatus":
                section, changes = "queues", self.queues.replace(server, messages, now)
            case "ParkedCalls":
                section, changes = "parked", self.rooms.replace_parked(server, messages, now)
            case _:
                section, changes = "conferences", self.rooms.replace_conferences(server, messages, now)
        return {section: changes}

    def lose(self, server: str, now: int) -> dict[str, Changes]:
        """Grey the extensions of a PBX that is out of reach, and take away the rest; return what changed."""
        self._lost.add(server)
        changes = self.extensions.lose(server, now)
        merge(changes, self.forwards.replace(server, []))
        return {"extensions": changes, **self._empty(server, now)}

    def forget(self, server: str, now: int) -> dict[str, Changes]:
        """Drop all that a PBX told; return what changed."""
        self._lost.discard(server)
        changes = self.extensions.replace(server, [], now)
        merge(changes, self.forwards.replace(server, []))
        return {"extensions": changes, **self._empty(server, now)}

    def _empty(self, server: str, now: int) -> dict[str, Changes]:
        return {
            "calls": self.calls.replace(server, [], now),
            "queues": self.queues.replace(server, [], now),
            "parked": self.rooms.replace_parked(server, [], now),
            "conferences": self.rooms.replace_conferences(server, [], now),
        }
