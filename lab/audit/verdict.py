"""What a check found, and what of it stays with a reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import yaml

ACCEPTED = Path(__file__).with_name("accepted.yml")


@dataclass(frozen=True)
class Verdict:
    """One check of one place."""

    check: str
    place: str
    measured: str
    target: str
    findings: Sequence[str] = ()
    """Each in the tool's own words; none where the target is met."""

    @cached_property
    def open(self) -> list[str]:
        """The findings that no reason in ``accepted.yml`` covers."""
        return [finding for finding in self.findings if not self.reason(finding)]

    @property
    def passed(self) -> bool:
        """Whether nothing is open."""
        return not self.open

    def reason(self, finding: str) -> str:
        """Return why a finding stays; empty where nothing is written of it for this place."""
        for accepted in _accepted(ACCEPTED).get(self.check, []):
            if re.search(accepted["finding"], finding) and re.search(accepted.get("place", ""), self.place):
                return accepted["reason"]
        return ""


@cache
def _accepted(file: Path) -> dict[str, list[dict[str, str]]]:
    """Return check → what of it stays: ``finding`` and ``place``, regular expressions, and ``reason``."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
