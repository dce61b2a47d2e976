"""Figures for Prometheus (text format 0.0.4), counted where things happen and written when they are asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

PREFIX: Final = "centralino_cti_"

Labels = Mapping[str, str]


@dataclass
class Counts:
    """What has happened since the start."""

    written_messages: int = 0
    """Writes to clients: a write may hold several messages that came together."""
    written_bytes: int = 0
    slow: int = 0
    """How often a client fell behind and lost its place."""
    let_go: int = 0
    """Clients that did not catch up, or answered no ping."""
    refused: Counter[str] = field(default_factory=Counter)
    """Clients that were not let in, by reason."""
    broken: Counter[str] = field(default_factory=Counter)
    """Connections that ended before their request had come, by reason."""
    not_taken: Counter[str] = field(default_factory=Counter)
    """Messages and lists from which nothing was learnt, for they made an error of ours, by PBX."""
    longest_lag: float = 0.0
    """Seconds from an event's arrival to its writing, the longest since it was last asked for."""

    def take_lag(self) -> float:
        """Return the longest lag and begin anew."""
        lag, self.longest_lag = self.longest_lag, 0.0
        return lag


@dataclass(frozen=True)
class Family:
    """One metric with its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Iterable[tuple[Labels, float]]


def render(families: Iterable[Family]) -> bytes:
    """Return the page that Prometheus reads."""
    return "".join(f"{line}\n" for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    name = PREFIX + family.name
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in family.samples:
        told = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
        yield f"{name}{{{told}}} {value:g}" if told else f"{name} {value:g}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
