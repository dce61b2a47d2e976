"""How Proxmox writes values, and one normal form to compare them in.

What is read back is not what was sent: tags come sorted, keys encoded, booleans as numbers, and a property string in
another order.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_MODELS = frozenset(("e1000", "e1000e", "rtl8139", "virtio", "vmxnet3"))


def properties(value: str, default: str = "") -> dict[str, str]:
    """Split a property string: ``"virtio=AA:…,bridge=vmbr0"``; a part without ``=`` is filed under ``default``."""
    parts = (part.partition("=") for part in value.split(",") if part)
    return {key: text for name, equals, rest in parts for key, text in [(name, rest) if equals else (default, name)]}


def joined(parts: Mapping[str, str]) -> str:
    """Write a property string."""
    return ",".join(f"{key}={value}" for key, value in parts.items())


def card(value: str) -> dict[str, str]:
    """Split ``net0``, with the model and the address under ``model`` and ``macaddr`` however they were written."""
    parts = properties(value, default="model")
    for model in _MODELS & parts.keys():
        parts |= {"model": model, "macaddr": parts.pop(model)}
    if "macaddr" in parts:
        parts["macaddr"] = parts["macaddr"].upper()
    return parts


def card_string(parts: Mapping[str, str]) -> str:
    """Write ``net0`` from what :func:`card` returns, with its address: without one Proxmox makes one up each time."""
    rest = {key: value for key, value in parts.items() if key not in {"model", "macaddr"}}
    return joined({parts["model"]: parts["macaddr"], **rest})


def cards(config: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Return the network cards of a configuration, from ``net0`` on, each as :func:`card` splits it."""
    return {key: card(str(config[key])) for key in sorted(config) if re.fullmatch(r"net\d+", key)}


def pulled(config: Mapping[str, object]) -> dict[str, str]:
    """Return the network cards of a configuration as settings that pull the cable of each."""
    return {key: card_string(parts | {"link_down": "1"}) for key, parts in cards(config).items()}


def size(value: str) -> int:
    """Return the bytes of a disk size: ``"32G"``, ``"3072M"``; 0 where there is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", value)
    return int(float(match[1]) * _UNITS[match[2]]) if match else 0


def disk_size(value: str) -> int:
    """Return the bytes of a disk: ``"local-lvm:vm-101-disk-0,size=32G"``."""
    return size(properties(value, default="file").get("size", ""))


def encode_keys(text: str) -> str:
    """Write ``sshkeys``: percent-encoded in full (``+`` for a blank is refused)."""
    return quote(text.strip() + "\n", safe="")


def keys(value: str) -> tuple[str, ...]:
    """Return the keys of ``sshkeys`` as it is read back, sorted."""
    return tuple(sorted(line.strip() for line in unquote(value).splitlines() if line.strip()))


def tags(value: str) -> tuple[str, ...]:
    """Return tags, sorted; they are separated by ``;``, ``,`` or blanks."""
    return tuple(sorted({tag.lower() for tag in re.split(r"[;,\s]+", value) if tag}))


def tag_string(values: Iterable[str]) -> str:
    """Write tags as Proxmox reads them back."""
    return ";".join(sorted(values))


def remote(host: str, port: int, token: str, fingerprint: str) -> str:
    """Write how a node of another cluster is reached and trusted; ``token`` is ``user@realm!name=secret``."""
    return f"host={host},port={port},apitoken=PVEAPIToken={token},fingerprint={fingerprint}"


_NORMAL: Final[Mapping[str, Callable[[str], object]]] = {
    "agent": lambda text: properties(text, default="enabled").get("enabled", "0"),
    "cpu": lambda text: properties(text, default="cputype"),
    "description": lambda text: text.rstrip("\n"),
    "ipconfig0": properties,
    "memory": lambda text: properties(text, default="current").get("current", "512"),
    "nameserver": lambda text: tuple(re.split(r"[,;\s]+", text.strip())),
    "net0": card,
    "onboot": lambda text: text or "0",
    "sockets": lambda text: text or "1",
    "sshkeys": keys,
    "tags": tags,
}


def normal(key: str, value: object) -> object:
    """Return a configuration value in the form that is compared: equal exactly where the two mean the same."""
    text = "" if value is None else str(value)
    return _NORMAL.get(key, str)(text)


def readable(key: str, value: object) -> str:
    """Return a value as a person reads it in a plan."""
    if value in (None, ""):
        return "nothing"
    if key == "sshkeys":
        return ", ".join(_shortened(line) for line in keys(str(value)))
    return str(value)


def _shortened(key: str) -> str:
    kind, _, rest = key.partition(" ")
    material, _, comment = rest.partition(" ")
    return " ".join(part for part in (kind, f"…{material[-8:]}", comment) if part)
