"""``release/res_parking.conf``: each tenant's parking lot (Asterisk's ``res_parking``).

A lot makes no extensions of its own (``parkext`` is not set), so its spaces take no number away from the tenant: a call
is put there by the CTI proxy, and taken by dialling ``parking_code`` (``dialplan``).
"""

from centralino.asterisk import text
from centralino.asterisk.dialplan import COMEBACK_CONTEXT
from centralino.asterisk.objects import Kind, Object, Rendered
from centralino.contract.names import PARKING_SPACES, parking_lot, tenant_prefix
from centralino.contract.snapshot import Snapshot

_SECONDS = 120
"""So long a call waits before it rings who parked it."""


def render(snapshot: Snapshot) -> Rendered:
    """Return the file and the lots that it makes."""
    ids = sorted(tenant.id for tenant in snapshot.tenants)
    content, mark = text.sealed([line for tenant in ids for line in _lot(tenant)], _mark)
    names = [mark, *(parking_lot(tenant) for tenant in ids)]
    return Rendered(content, frozenset(Object(Kind.PARKING_LOT, name) for name in names))


def _lot(tenant: int) -> list[str]:
    first, last = PARKING_SPACES
    return [
        text.section(parking_lot(tenant)),
        text.setting("context", f"{tenant_prefix(tenant)}parked"),
        text.setting("parkpos", f"{first}-{last}"),
        text.setting("parkingtime", str(_SECONDS)),
        # Not Asterisk's own way back, which would follow a phone's forward anywhere, and hang up on who waits.
        text.setting("comebacktoorigin", "no"),
        text.setting("comebackcontext", COMEBACK_CONTEXT),
        # Whoever takes the call may transfer it as any other call.
        text.setting("parkedcalltransfers", "caller"),
        "",
    ]


def _mark(name: str) -> list[str]:
    return [
        "; Nobody parks here: its name tells which text Asterisk has read.",
        text.section(name),
        "context=centralino-none",
        "parkpos=1-1",
    ]
