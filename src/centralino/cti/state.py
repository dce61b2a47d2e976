"""What every tenant's extensions are doing, told by the hints of the PBXes. Pure: events in, changes out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from centralino.contract.live import State

_RINGING: Final = 8
_HELD: Final = 16
_UNAVAILABLE: Final = 4
_BUSY: Final = 2 | 1


class Hint(NamedTuple):
    """One ``ExtensionStatus``; ``state`` None says that Asterisk has no such hint any more."""

    tenant: int
    number: str
    state: State | None
    endpoints: tuple[str, ...] = ()
    """Its devices."""


class Extension(NamedTuple):
    """An extension's state, since when (ms since 1970), and the PBX that told it."""

    state: State
    since: int
    server: str


def state_of(status: str) -> State | None:
    """Translate Asterisk's ``Status``, a bit mask (``enum ast_extension_states``).

    1 is in use, 2 busy, 4 unavailable, 8 ringing, 16 on hold. Of several,
    ringing counts most: somebody must answer. A hint that was removed (-2) or deactivated (-1) is None, as is what is
    no number.
    """
    try:
        bits = int(status)
    except ValueError:
        return None
    if bits < 0:
        return None
    if bits & _RINGING:
        return "ringing"
    if bits & _BUSY:
        return "busy"
    if bits & _HELD:
        return "held"
    return "unregistered" if bits & _UNAVAILABLE else "free"


class Extensions:
    """The extensions of all tenants.

    An extension belongs to the PBX that told of it last, so a tenant that moves from one PBX to another is never shown
    twice, and a PBX that is lost greys its own extensions only.
    """

    def __init__(self) -> None:
        self._tenants: dict[int, dict[str, Extension]] = {}
        self._devices: dict[int, dict[str, str]] = {}

    def number_of(self, tenant: int, endpoint: str) -> str | None:
        """Return the number of the extension that a device belongs to."""
        return self._devices.get(tenant, {}).get(endpoint)

    def endpoints_of(self, tenant: int, number: str) -> list[str]:
        """Return an extension's devices."""
        return sorted(e for e, n in self._devices.get(tenant, {}).items() if n == number)

    def server_of(self, tenant: int) -> str | None:
        """Return the PBX that most of a tenant's extensions are on: all of them, but while a tenant moves."""
        servers = Counter(extension.server for extension in self.of(tenant).values())
        return servers.most_common(1)[0][0] if servers else None

    def server_of_extension(self, tenant: int, number: str) -> str | None:
        """Return the PBX that an extension is on."""
        extension = self.of(tenant).get(number)
        return None if extension is None else extension.server

    def hears_music(self, tenant: int, number: str) -> bool:
        """Tell whether others hold all calls of an extension."""
        extension = self.of(tenant).get(number)
        return extension is not None and extension.state == "held"

    def of(self, tenant: int) -> Mapping[str, Extension]:
        """Return a tenant's extensions."""
        return self._tenants.get(tenant, {})

    def apply(self, server: str, hint: Hint, now: int) -> bool:
        """Take one event in; tell whether anything changed."""
        extensions = self._tenants.setdefault(hint.tenant, {})
        known = extensions.get(hint.number)
        if hint.endpoints:
            self._note_devices(hint)
        if hint.state is None:
            if known is None or known.server != server:
                return False
            del extensions[hint.number]
            return True
        if known is not None and known.state == hint.state:
            extensions[hint.number] = known._replace(server=server)
            # What its calls meet is told by its PBX, too.
            return known.server != server
        extensions[hint.number] = Extension(hint.state, now, server)
        return True

    def _note_devices(self, hint: Hint) -> None:
        devices = self._devices.setdefault(hint.tenant, {})
        if any(devices.get(endpoint) != hint.number for endpoint in hint.endpoints):
            for endpoint in [e for e, n in devices.items() if n == hint.number and e not in hint.endpoints]:
                del devices[endpoint]
            devices.update(dict.fromkeys(hint.endpoints, hint.number))

    def replace(self, server: str, hints: Iterable[Hint], now: int) -> dict[int, set[str]]:
        """Take a PBX's full picture in; return what changed, vanished extensions included."""
        changed: dict[int, set[str]] = {}
        seen: set[tuple[int, str]] = set()
        for hint in hints:
            seen.add((hint.tenant, hint.number))
            if self.apply(server, hint, now):
                changed.setdefault(hint.tenant, set()).add(hint.number)
        for tenant, extensions in self._tenants.items():
            gone = [n for n, e in extensions.items() if e.server == server and (tenant, n) not in seen]
            for number in gone:
                del extensions[number]
                changed.setdefault(tenant, set()).add(number)
        return changed

    def lose(self, server: str, now: int) -> dict[int, set[str]]:
        """Grey all extensions of a PBX that is out of reach; return what changed."""
        changed: dict[int, set[str]] = {}
        for tenant, extensions in self._tenants.items():
            for number, extension in extensions.items():
                if extension.server == server and extension.state != "unregistered":
                    extensions[number] = Extension("unregistered", now, server)
                    changed.setdefault(tenant, set()).add(number)
        return changed
