"""The named formats of the API: what the schema calls ``"format": "pve-node"`` and the like without saying more.

A format is a function that takes the text and raises :class:`ValueError` with the API's words, or a property format (a
dictionary). Formats not named here are taken as they are. Written from the Proxmox VE documentation (qm(1), pvesm(1),
pve-docs) and what nodes answer.
"""

import base64
import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from lab.proxmox import calendar_events

Check = Callable[[str], None]


def _matching(pattern: str, what: str) -> Check:
    expression = re.compile(pattern, re.ASCII)

    def check(text: str) -> None:
        if not expression.fullmatch(text):
            raise ValueError(f"value '{text}' does not look like a valid {what}")

    return check


def _numeric(read: Callable[[str], Any], what: str, versions: tuple[int, ...], extra: tuple[str, ...]) -> Check:
    """Return the check of an address that is written in numbers; ``extra`` are words that stand for one."""

    def check(text: str) -> None:
        if text in extra:
            return
        try:
            version = read(text).version
        except ValueError:
            version = 0
        if version not in versions:
            raise ValueError(f"value '{text}' does not look like a valid {what}")

    return check


def _ip(*versions: int, extra: tuple[str, ...] = ()) -> Check:
    what = "IP address" if len(versions) > 1 else f"IPv{versions[0]} address"
    return _numeric(ipaddress.ip_address, what, versions, extra)


def _cidr(*versions: int, extra: tuple[str, ...] = ()) -> Check:
    def read(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
        if "/" not in text:
            raise ValueError(text)
        return ipaddress.ip_interface(text)

    return _numeric(read, f"{'/'.join(f'IPv{v}' for v in versions)} CIDR network", versions, extra)


def _address(text: str) -> None:
    """Take an IP address or a DNS name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        _DNS_NAME(text)


def _boot(text: str) -> None:
    """qm(1): ``order=scsi0;net0``, or the legacy letters."""
    if not re.fullmatch(r"(legacy=)?[acdn]{1,4}|order=([a-z]+\d+(;[a-z]+\d+)*)?", text):
        raise ValueError(f"invalid boot order '{text}'")


def _calendar_event(text: str) -> None:
    try:
        calendar_events.parse(text)
    except ValueError as error:
        raise ValueError(f"invalid calendar event '{text}' - {error}") from error


def _urlencoded(text: str) -> None:
    """RFC 3986's unreserved characters and percent signs; a plus or a space proves that the text is not encoded."""
    if not re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", text):
        raise ValueError("invalid urlencoded string")


def check_ssh_keys(text: str) -> None:
    """Check the value of ``sshkeys`` behind its encoding: one OpenSSH public key a line."""
    for line in unquote(text).splitlines():
        if line.strip() and not line.startswith("#") and not _is_ssh_key(line):
            raise ValueError("SSH public key validation error")


def _is_ssh_key(line: str) -> bool:
    """Tell whether a line holds a key: its type, and a blob that begins with the same type (RFC 4253, section 6.6)."""
    fields = line.split()
    for kind, blob in pairwise(fields):
        if re.match(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-", kind):
            try:
                decoded = base64.b64decode(blob, validate=True)
            except ValueError:
                return False
            return _ssh_fields(decoded)[:1] == [kind.encode()]
    return False


def _ssh_fields(blob: bytes) -> list[bytes]:
    """Return the strings that a key consists of, each behind its length; none where the last is cut off (RFC 4251)."""
    fields = []
    while blob:
        end = 4 + int.from_bytes(blob[:4])
        if len(blob) < end:
            return []
        fields.append(blob[4:end])
        blob = blob[end:]
    return fields


_DNS_NAME = _matching(
    r"(?=.{1,253}$)([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
    "DNS name",
)
_VOLUME = r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:\S+"
_SIZE = r"\d+(\.\d+)?[KMGT]?"

_DRIVE: dict[str, Any] = {
    "file": {"type": "string", "default_key": 1, "format": "pve-volume-id-or-qm-path"},
    "volume": {"alias": "file"},
    "media": {"type": "string", "enum": ["cdrom", "disk"], "optional": 1},
    "import-from": {"type": "string", "optional": 1, "format": "pve-volume-id-or-absolute-path"},
    "size": {"type": "string", "format": "disk-size", "optional": 1},
    **{
        key: {"type": "string", "optional": 1}
        for key in ("aio", "cache", "format", "serial", "werror", "rerror", "model")
    },
    **{
        key: {"type": "boolean", "optional": 1}
        for key in ("backup", "replicate", "shared", "snapshot", "ssd", "iothread")
    },
    "discard": {"type": "string", "enum": ["ignore", "on"], "optional": 1},
}

NAMED: dict[str, Check | dict[str, Any]] = {
    "CIDR": _cidr(4, 6),
    "CIDRv4": _cidr(4),
    "CIDRv6": _cidr(6),
    "address": _address,
    "disk-size": _matching(_SIZE, "disk size"),
    "dns-name": _DNS_NAME,
    "ip": _ip(4, 6),
    "ipv4": _ip(4),
    "ipv4-config": _ip(4, extra=("dhcp", "auto", "manual")),
    "ipv6": _ip(6),
    "mac-addr": _matching(r"[a-fA-F0-9][02468aceACE][:]([a-fA-F0-9]{2}[:]){4}[a-fA-F0-9]{2}", "unicast MAC address"),
    "prune-backups": {
        "keep-all": {"type": "boolean", "optional": 1},
        **{
            f"keep-{period}": {"type": "integer", "minimum": 0, "optional": 1}
            for period in ("last", "hourly", "daily", "weekly", "monthly", "yearly")
        },
    },
    "pve-bridge-id": _matching(r"[a-zA-Z0-9][-_.a-zA-Z0-9]{0,14}", "bridge name"),
    "pve-calendar-event": _calendar_event,
    "pve-configid": _matching(r"[a-z][a-z0-9_-]+", "configuration ID"),
    "pve-cpuset": _matching(r"\d+(-\d+)?(,\d+(-\d+)?)*", "CPU set"),
    "pve-day-of-week": _matching(r"mon|tue|wed|thu|fri|sat|sun", "day"),
    "pve-groupid": _matching(r"[A-Za-z0-9.\-_]+", "group name"),
    "pve-ha-resource-or-vm-id": _matching(r"((vm|ct):)?[1-9][0-9]{2,8}", "HA resource ID"),
    "pve-ha-resource-id": _matching(r"(vm|ct):[1-9][0-9]{2,8}", "HA resource ID"),
    "pve-iface": _matching(r"[a-zA-Z][a-zA-Z0-9_.]{1,20}(:\d+)?", "interface name"),
    "pve-node": _matching(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", "node name"),
    "pve-poolid": _matching(r"[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+){0,2}", "pool name"),
    "pve-priv": _matching(r"[A-Za-z]+(\.[A-Za-z]+)+", "privilege"),
    "pve-qm-boot": _boot,
    "pve-qm-ide": _DRIVE,
    "pve-qm-ipconfig": {
        "gw": {"type": "string", "format": "ipv4", "optional": 1, "requires": "ip"},
        "gw6": {"type": "string", "format": "ipv6", "optional": 1, "requires": "ip6"},
        "ip": {"type": "string", "format": "pve-ipv4-config", "optional": 1},
        "ip6": {"type": "string", "format": "pve-ipv6-config", "optional": 1},
    },
    "pve-ipv4-config": _cidr(4, extra=("dhcp",)),
    "pve-ipv6-config": _cidr(6, extra=("dhcp", "auto")),
    "bridge-pair": _matching(r"1|[-_.\w\d]+(:[-_.\w\d]+)?", "bridge pair"),
    "storage-pair": _matching(r"1|[a-zA-Z][a-zA-Z0-9\-_.]*(:[a-zA-Z][a-zA-Z0-9\-_.]*)?", "storage pair"),
    "proxmox-remote": {
        "host": {"type": "string", "format": "address"},
        "port": {"type": "integer", "optional": 1, "minimum": 1, "maximum": 65535},
        "apitoken": {"type": "string", "pattern": r"PVEAPIToken=[^\s:/!]+@[^\s:/!]+![^\s:/!=]+=[^\s,]+"},
        "fingerprint": {"type": "string", "optional": 1, "pattern": "([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}"},
    },
    "pve-realm": _matching(r"[A-Za-z][A-Za-z0-9.\-_]+", "realm"),
    "pve-roleid": _matching(r"[A-Za-z0-9.\-_]+", "role"),
    "pve-startup-order": {
        "order": {"type": "integer", "minimum": 0, "optional": 1, "default_key": 1},
        "up": {"type": "integer", "minimum": 0, "optional": 1},
        "down": {"type": "integer", "minimum": 0, "optional": 1},
    },
    "pve-storage-content": _matching(r"images|rootdir|vztmpl|iso|backup|snippets|import|none", "content type"),
    "pve-storage-id": _matching(r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]", "storage ID"),
    "pve-tag": _matching(r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*", "tag"),
    "pve-userid": _matching(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+", "user name"),
    "pve-vmid": _matching(r"[1-9][0-9]{2,8}", "VM ID"),
    "pve-volume-id": _matching(_VOLUME, "volume ID"),
    "pve-volume-id-or-absolute-path": _matching(rf"/\S+|{_VOLUME}", "volume ID or absolute path"),
    "pve-volume-id-or-qm-path": _matching(rf"none|cdrom|/\S+|{_VOLUME}", "volume ID or path"),
    "urlencoded": _urlencoded,
}
