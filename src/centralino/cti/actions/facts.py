"""What the rules ask about a tenant, answered from its board."""

from centralino.contract.live import CallParty
from centralino.cti.boards import Boards


class Facts:
    """The board as :class:`centralino.cti.actions.rules.Facts` wants it."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def channel_server(self, tenant: int, channel: str) -> str | None:
        """Return the PBX that a tenant's channel is on."""
        found = self._boards.calls.channel_of(tenant, channel)
        return None if found is None else found[0]

    def home(self, tenant: int) -> str | None:
        """Return the tenant's PBX."""
        return self._boards.extensions.server_of(tenant)

    def number_of(self, tenant: int, endpoint: str) -> str | None:
        """Return the extension that a device belongs to."""
        return self._boards.extensions.number_of(tenant, endpoint)

    def extension(self, tenant: int, number: str) -> bool:
        """Tell whether a tenant has an extension."""
        return number in self._boards.extensions.of(tenant)

    def queue(self, tenant: int, name: str) -> bool:
        """Tell whether a tenant has a queue."""
        return self._boards.queues.shelf.get(tenant, name) is not None

    def shares_call(self, tenant: int, number: str, channel: str) -> bool:
        """Tell whether an extension is in the call that a channel is part of."""
        return any(party.extension == number and party.channel for party in self._parties(tenant, channel))

    def other_channel(self, tenant: int, channel: str) -> str | None:
        """Return the channel that speaks with a channel, or None where there is none, or more than one."""
        others = [party.channel for party in self._parties(tenant, channel) if party.channel not in {None, channel}]
        return others[0] if len(others) == 1 else None

    def _parties(self, tenant: int, channel: str) -> tuple[CallParty, ...]:
        found = self._boards.calls.channel_of(tenant, channel)
        call = self._boards.calls.shelf.get(tenant, f"{found[0]}:{found[1].call}") if found else None
        return call.parties if call else ()
