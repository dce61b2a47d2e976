"""The documented sizing of guests by function group."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Size:
    """What a guest gets: one socket of ``cores``, ``memory`` in MiB, ``disk`` in GiB."""

    cores: int
    memory: int
    disk: int


BY_GROUP: Final = {
    "pbx": Size(cores=4, memory=4096, disk=32),
    "cti": Size(cores=4, memory=8192, disk=32),
    "web": Size(cores=8, memory=16384, disk=128),
}
"""Sizing of the product's documentation; groups that are not named here have none of their own."""


def default(groups: Iterable[str]) -> Size | None:
    """Return the largest of what the groups ask for, or nothing where no group has a sizing."""
    sizes = [BY_GROUP[group] for group in groups if group in BY_GROUP]
    if not sizes:
        return None
    return Size(
        cores=max(size.cores for size in sizes),
        memory=max(size.memory for size in sizes),
        disk=max(size.disk for size in sizes),
    )
