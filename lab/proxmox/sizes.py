"""Disk sizes as Proxmox writes them: ``32G``."""

import re

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse(text: str) -> int:
    """Return the bytes of ``32G``, ``1.5T`` or ``4096``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not match:
        raise ValueError(f"'{text}' is no disk size")
    return int(float(match[1]) * UNITS[match[2]])


def write(size: int) -> str:
    """Return bytes in the largest unit that divides them."""
    for unit in ("T", "G", "M", "K"):
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return str(size)
