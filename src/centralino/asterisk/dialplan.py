"""``release/extensions.conf``: who may dial whom.

Each tenant has one context. It includes no other and jumps to none that dials anything but the devices which it was
given, and whatever dials a device follows no forward of the phone's own; its parking lot is its own. So there is no way
from one tenant to another. A number that is not in it is answered with 404 by Asterisk itself, before a channel exists.

No pattern ends with ``.`` or ``!``: they match any byte, and what a phone dials may hold CR and LF (``%0D%0A`` in the
request's URI), which Asterisk would write into the manager's events as it stands, a header or an event of the phone's.
"""

from collections.abc import Iterator

from centralino.asterisk import text
from centralino.asterisk.objects import Kind, Object, Rendered
from centralino.asterisk.pjsip import OWN_EXTENSION
from centralino.contract.names import (
    DISTURB,
    DND_CODES,
    DO_NOT_DISTURB,
    FORWARD_CODES,
    FORWARDED,
    PARKING_CODE,
    PRESENCE_PROVIDER,
    account_code,
    dnd_state,
    forward_state,
    internal_context,
    parking_lot,
    tenant_prefix,
)
from centralino.contract.snapshot import Extension, Snapshot, Tenant

MARK_CONTEXT = "centralino-release"
_RING_CONTEXT = "centralino-ring"

_WISH_CONTEXT = "centralino-wish"

COMEBACK_CONTEXT = "centralino-comeback"
"""Where a call goes that nobody has taken from its parking space in time."""

_RING_SECONDS = 60
_COMEBACK_SECONDS = 30

_DIGITS = range(2, 9)
"""How many digits an extension may have (``ExtensionNumber``)."""

_PERSON = f"${{{OWN_EXTENSION}}}"
_NOTED = f"{PRESENCE_PROVIDER}:${{ARG1}}-${{ARG3}}-{_PERSON}"

_PARKER = "CENTRALINO_PARKER"
"""The variable in which a parked call has who parked it: Asterisk's own, PARKER, is the call itself once it is back."""

_PASSED = "CENTRALINO_PASSED"
"""The variable in which a call has the extensions that have forwarded it, ``-101-102``."""

_AGAIN = f"sc({COMEBACK_CONTEXT},s,ring)"

# Hang-up causes are those of ITU-T Q.850; chan_pjsip answers them with the SIP status in the comment.
_RING = f"""
; Rings an extension: ARG1 is the account code, ARG2 the devices, ARG3 the number. Devices may transfer, callers from
; elsewhere may not. A call that is begun from the page, which comes from the number itself, reaches the phone whatever
; its person wishes. A forward that leads nowhere any more is not followed; it comes before do-not-disturb.
; A phone's own forward (SIP 302) is not followed (i): Asterisk would dial whatever it names, "Local/102@t176-internal"
; too, and two extensions of two phones each that name each other would double the call at every step.
[{_RING_CONTEXT}]
exten => s,1,Set(CHANNEL(accountcode)=${{ARG1}})
exten => s,n,Set(LOCAL(from)=${{FILTER(0-9,${{CALLERID(num)}})}})
exten => s,n,GotoIf($["${{from}}${{{_PASSED}}}"="${{ARG3}}"]?devices)
exten => s,n,Set(LOCAL(to)=${{FILTER(0-9,${{PRESENCE_STATE({forward_state("${ARG1}", "${ARG3}")},message)}})}})
exten => s,n,GotoIf($["${{to}}"=""]?here)
exten => s,n,GotoIf(${{DIALPLAN_EXISTS(${{ARG1}}-internal,${{to}},1)}}?forward)
exten => s,n(here),GotoIf($["${{PRESENCE_STATE({dnd_state("${ARG1}", "${ARG3}")},value)}}"="{DO_NOT_DISTURB}"]?s-BUSY,1)
exten => s,n(devices),Set({_PASSED}=)
exten => s,n,Dial(${{ARG2}},{_RING_SECONDS},t${{IF($["{_PERSON}"!=""]?T)}}i)
exten => s,n,GotoIf(${{DIALPLAN_EXISTS({_RING_CONTEXT},s-${{DIALSTATUS}},1)}}?s-${{DIALSTATUS}},1)
; out of resources and the like: 503
exten => s,n,Hangup(34)
; Round in a circle, or back to who calls: as if no device were registered.
exten => s,n(forward),Set({_PASSED}=${{{_PASSED}}}-${{ARG3}})
exten => s,n,GotoIf($["${{{_PASSED}}}-${{from}}-"=~"-${{to}}-"]?s-CHANUNAVAIL,1)
exten => s,n,Goto(${{ARG1}}-internal,${{to}},1)
; busy: 486
exten => s-BUSY,1,Hangup(17)
; rung, but nobody answered: 480
exten => s-NOANSWER,1,Hangup(19)
; no device is registered: 480
exten => s-CHANUNAVAIL,1,Hangup(20)
exten => s-ANSWER,1,Hangup()

; Rings who parked a call, and lets it wait again where that one does not take it, in the space that people know of. A
; call whose parker is not known (Park without a TimeoutChannel: Asterisk names the parked phone itself) waits on.
[{COMEBACK_CONTEXT}]
exten => s,1,Set({_PARKER}=${{PARKER}})
exten => s,n(ring),GotoIf($["${{CHANNEL(name)}}"=~"^${{{_PARKER}}}-"]?wait)
exten => s,n,Dial(${{{_PARKER}}},{_COMEBACK_SECONDS},ti)
exten => s,n(wait),Set(PARKINGEXTEN=${{PARKING_SPACE}})
exten => s,n,Park(${{PARKEDLOT}},{_AGAIN})
; somebody else is in that space by now
exten => s,n,Set(PARKINGEXTEN=)
exten => s,n,Park(${{PARKEDLOT}},{_AGAIN})

; Notes what a person wishes for calls to the own extension: ARG1 is the account code, ARG2 what was dialled, ARG3 the
; presence state's kind, ARG4 its value, ARG5 a forward's number. Only who dialled the code himself may (dnid): a phone
; that somebody transfers here has its extension's number, too.
[{_WISH_CONTEXT}]
exten => s,1,GotoIf($["{_PERSON}"=""|"${{CALLERID(dnid)}}"!="${{ARG2}}"]?refused)
exten => s,n,GotoIf($["${{ARG5}}"=""]?note)
exten => s,n,GotoIf($["${{ARG5}}"="{_PERSON}"]?nowhere)
exten => s,n,GotoIf(${{DIALPLAN_EXISTS(${{ARG1}}-internal,${{ARG5}},1)}}?note:nowhere)
exten => s,n(note),Set(PRESENCE_STATE({_NOTED})=${{ARG4}},${{ARG3}},${{ARG5}})
exten => s,n,Playback(beep)
exten => s,n,Hangup()
; 403
exten => s,n(refused),Hangup(21)
; 404
exten => s,n(nowhere),Hangup(1)
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
        yield text.step(
            extension.number, "1", f"Gosub({_RING_CONTEXT},s,1({_arguments(tenant, devices, extension.number)}))"
        )
    for code, application in _codes(tenant):
        yield text.step(code, "1", application)
    yield ""


def _codes(tenant: Tenant) -> list[tuple[str, str]]:
    """Return what a tenant's people dial besides numbers: patterns that begin with ``*``, as no extension does."""
    behind = f"${{EXTEN:{len(PARKING_CODE)}}}"
    (quiet, loud), (forward, home) = DND_CODES, FORWARD_CODES
    # A pattern passes over dashes; with the digits alone, it is not what was dialled (dnid).
    to = f"${{FILTER(0-9,${{EXTEN:{len(forward)}}})}}"
    return [
        (f"_{PARKING_CODE}XXX", f"ParkedCall({parking_lot(tenant.id)},{behind})"),
        (quiet, _wish(tenant, quiet, "dnd", DO_NOT_DISTURB)),
        (loud, _wish(tenant, loud, "dnd", DISTURB)),
        *(
            (f"_{forward}{'X' * digits}", _wish(tenant, f"{forward}{to}", "forward", FORWARDED, to))
            for digits in _DIGITS
        ),
        (home, _wish(tenant, home, "forward", DISTURB)),
    ]


def _wish(tenant: Tenant, *arguments: str) -> str:
    return f"Gosub({_WISH_CONTEXT},s,1({_arguments(tenant, *arguments)}))"


def _arguments(tenant: Tenant, *others: str) -> str:
    return ",".join((account_code(tenant.id), *others))


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
