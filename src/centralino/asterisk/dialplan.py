"""``release/extensions.conf``: who may dial whom.

Each tenant has one context. It includes no other and jumps to none that dials anything but the devices which it was
given; its parking lot is its own. So there is no way from one tenant to another. A number that is not in it is answered
with 404 by Asterisk itself, before a channel exists.
"""

from collections.abc import Iterator

from centralino.asterisk import text
from centralino.asterisk.objects import Kind, Object, Rendered
from centralino.asterisk.pjsip import OWN_EXTENSION
from centralino.contract.names import PARKING_CODE, account_code, internal_context, parking_lot, tenant_prefix
from centralino.contract.snapshot import Extension, Snapshot, Tenant

MARK_CONTEXT = "centralino-release"
_RING_CONTEXT = "centralino-ring"

_RING_SECONDS = 60

# Hang-up causes are those of ITU-T Q.850; chan_pjsip answers them with the SIP status in the comment.
_RING = f"""
; Rings devices: ARG1 is the account code, ARG2 the devices. Devices may transfer, callers from elsewhere may not.
[{_RING_CONTEXT}]
exten => s,1,Set(CHANNEL(accountcode)=${{ARG1}})
exten => s,2,Dial(${{ARG2}},{_RING_SECONDS},t${{IF($["${{{OWN_EXTENSION}}}"!=""]?T)}})
exten => s,3,Goto(s-${{DIALSTATUS}},1)
; busy: 486
exten => s-BUSY,1,Hangup(17)
; rung, but nobody answered: 480
exten => s-NOANSWER,1,Hangup(19)
; no device is registered: 480
exten => s-CHANUNAVAIL,1,Hangup(20)
exten => s-ANSWER,1,Hangup()
; out of resources and the like: 503
exten => _s-.,1,Hangup(34)
"""


def render(snapshot: Snapshot) -> Rendered:
    """Return the file and the extensions and hints that it makes."""
    tenants = sorted(snapshot.tenants, key=lambda tenant: tenant.id)
    content, mark = text.sealed([_RING, *(line for tenant in tenants for line in _tenant(tenant))], _mark)
    objects = {Object(Kind.EXTENSION, f"{mark}@{MARK_CONTEXT}")}
    for tenant in tenants:
        for extension in tenant.extensions:
            place = f"{extension.number}@{internal_context(tenant.id)}"
            objects |= {Object(Kind.EXTENSION, place), Object(Kind.HINT, f"{place}: {_devices(tenant, extension)}")}
        objects |= {Object(Kind.EXTENSION, f"{code}@{internal_context(tenant.id)}") for code, _ in _codes(tenant)}
    return Rendered(content, frozenset(objects))


def _tenant(tenant: Tenant) -> Iterator[str]:
    yield text.section(internal_context(tenant.id))
    for extension in sorted(tenant.extensions, key=lambda extension: extension.number):
        devices = _devices(tenant, extension)
        yield text.step(extension.number, "hint", devices)
        # The devices, not PJSIP_DIAL_CONTACTS(): a contact is the phone's own text, and one that holds "&" or "," would
        # dial whatever it names. With one contact a device the two ring the same.
        yield text.step(extension.number, "1", f"Gosub({_RING_CONTEXT},s,1({account_code(tenant.id)},{devices}))")
    for code, application in _codes(tenant):
        yield text.step(code, "1", application)
    yield ""


def _codes(tenant: Tenant) -> list[tuple[str, str]]:
    """Return what a tenant's people dial besides numbers: patterns that begin with ``*``, as no extension does."""
    behind = f"${{EXTEN:{len(PARKING_CODE)}}}"
    return [(f"_{PARKING_CODE}XXX", f"ParkedCall({parking_lot(tenant.id)},{behind})")]


def _devices(tenant: Tenant, extension: Extension) -> str:
    """Return the devices as Asterisk dials them and watches them.

    An extension without any has one that no snapshot can hold: its hint then exists and says "unavailable".
    """
    names = [device.endpoint for device in extension.devices] or [f"{tenant_prefix(tenant.id)}none"]
    return "&".join(f"PJSIP/{name}" for name in names)


def _mark(name: str) -> list[str]:
    return [
        "; Its name tells which text Asterisk has read.",
        text.section(MARK_CONTEXT),
        text.step(name, "1", "Hangup()"),
    ]
