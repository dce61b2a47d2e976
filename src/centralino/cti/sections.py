"""What each tenant's board shows besides its extensions: by section and key, written by trackers, read by feeds."""

from collections.abc import Iterable, Mapping

from centralino.contract.live import Section
from centralino.contract.model import Model

Changes = dict[int, set[str]]
"""Tenant → the keys that changed, came or went."""


class Shelf[M: Model]:
    """One section of all tenants' boards; each entry belongs to the PBX that told it."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self._tenants: dict[int, dict[str, tuple[M, str]]] = {}

    def of(self, tenant: int) -> Mapping[str, M]:
        """Return a tenant's entries."""
        return {key: value for key, (value, _) in self._tenants.get(tenant, {}).items()}

    def get(self, tenant: int, key: str) -> M | None:
        """Return an entry."""
        entry = self._tenants.get(tenant, {}).get(key)
        return None if entry is None else entry[0]

    def put(self, server: str, tenant: int, key: str, value: M | None) -> Changes:
        """Write an entry or take it away; return what changed."""
        entries = self._tenants.setdefault(tenant, {})
        if value is None:
            if entries.pop(key, None) is None:
                return {}
        elif entries.get(key) == (value, server):
            return {}
        else:
            entries[key] = (value, server)
        return {tenant: {key}}

    def replace(self, server: str, values: Iterable[tuple[int, str, M]]) -> Changes:
        """Write all entries of a PBX, and take away those that it has no more; return what changed."""
        changes: Changes = {}
        seen = set()
        for tenant, key, value in values:
            seen.add((tenant, key))
            merge(changes, self.put(server, tenant, key, value))
        for tenant, entries in self._tenants.items():
            for key in [k for k, (_, s) in entries.items() if s == server and (tenant, k) not in seen]:
                del entries[key]
                merge(changes, {tenant: {key}})
        return changes


def merge(changes: Changes, more: Changes) -> None:
    """Add changes to changes."""
    for tenant, keys in more.items():
        changes.setdefault(tenant, set()).update(keys)
