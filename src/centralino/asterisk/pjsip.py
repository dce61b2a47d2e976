"""``release/pjsip.conf``: the endpoints, their log-ins and their addresses of record (Asterisk's ``res_pjsip``).

The transports ``transport-udp`` and ``transport-tls`` are the static file's, which role ``asterisk`` writes.
"""

from collections.abc import Iterator

from centralino.asterisk import text
from centralino.asterisk.objects import Kind, Object, Rendered
from centralino.contract.names import account_code, internal_context
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

OWN_EXTENSION = "CENTRALINO_EXTENSION"
"""The variable in which a device's channels, and no others, have the number of their extension."""

_CALLER_NAME_BYTES = 79
"""``res_pjsip`` keeps 80 bytes of a caller's name, the closing zero included, and would cut inside a character."""

_TEMPLATES = """
[device](!)
type=endpoint
allow=!all,alaw,ulaw,g722
allow_overlap=no
; Media always passes through this PBX: phones sit behind NAT, and calls are accounted for here.
direct_media=no
rtp_symmetric=yes
force_rport=yes
rewrite_contact=yes
; Who calls is decided by the log-in, never by an address.
identify_by=auth_username,username
trust_id_inbound=no
send_pai=yes
; What a phone names in a forward of its own (SIP 302) is taken as a whole URI, escaped. Its user part alone would be
; unescaped: a technology with an address, and CR and LF, which Asterisk writes into the manager's events as they are.
redirect_method=uri_core
; This context does not exist, so a text message is refused instead of being dialled as a call.
message_context=centralino-none

[device-tls](!,device)
transport=transport-tls
media_encryption=sdes

[device-udp](!,device)
transport=transport-udp

[device-auth](!)
type=auth
auth_type=digest

; One device, one contact: a phone that comes back from another address replaces itself. It is asked for a sign of life
; often enough to keep the NAT's binding open.
[device-aor](!)
type=aor
max_contacts=1
remove_existing=yes
minimum_expiration=60
maximum_expiration=3600
qualify_frequency=30
"""


def render(snapshot: Snapshot) -> Rendered:
    """Return the file and the objects that it makes."""
    content, mark = text.sealed([_TEMPLATES, *_devices(snapshot)], _mark)
    names = [device.endpoint for t in snapshot.tenants for e in t.extensions for device in e.devices]
    objects = {Object(kind, name) for name in names for kind in (Kind.ENDPOINT, Kind.AUTH, Kind.AOR)}
    return Rendered(content, frozenset(objects | {Object(Kind.AOR, mark)}))


def _mark(name: str) -> list[str]:
    return [
        "; Nobody can register here: its name tells which text Asterisk has read.",
        text.section(name),
        "type=aor",
        "max_contacts=0",
    ]


def _devices(snapshot: Snapshot) -> Iterator[str]:
    for tenant in sorted(snapshot.tenants, key=lambda tenant: tenant.id):
        for extension in sorted(tenant.extensions, key=lambda extension: extension.number):
            for device in extension.devices:
                yield from _device(tenant, extension, device)


def _device(tenant: Tenant, extension: Extension, device: Device) -> Iterator[str]:
    name = device.endpoint
    yield text.section(name, like=f"device-{device.transport}")
    yield text.setting("context", internal_context(tenant.id))
    yield text.setting("auth", name)
    yield text.setting("aors", name)
    yield text.setting("callerid", f'"{text.cut(extension.name, _CALLER_NAME_BYTES)}" <{extension.number}>')
    yield text.setting("accountcode", account_code(tenant.id))
    yield text.setting("set_var", f"{OWN_EXTENSION}={extension.number}")
    yield text.section(name, like="device-auth")
    yield text.setting("username", name)
    yield text.setting("password", device.secret)
    yield text.section(name, like="device-aor")
    yield ""
