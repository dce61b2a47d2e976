"""What a guest knows of bans, kept over restarts: the panel's last list, and reports that it has not taken yet."""

import logging
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, ValidationError

from centralino.agent.bans.firewall import Address
from centralino.contract.bans import BanList, Report
from centralino.contract.model import Model

log = logging.getLogger(__name__)

_FILE: Final = "bans.json"


class Pending(Model):
    """A report, in force here until the panel's list speaks for it."""

    report: Report
    until: AwareDatetime
    delivered: bool = False

    @classmethod
    def of(cls, report: Report, now: datetime) -> "Pending":
        """Return a report's ban, which begins now."""
        return cls(report=report, until=now + timedelta(seconds=report.seconds))


class Known(Model):
    """All of it; every change is a new value."""

    listed: BanList | None = None
    """None before the panel's first answer."""
    pending: tuple[Pending, ...] = ()

    def wanted(self, now: datetime) -> dict[Address, int]:
        """Return every address that is to be dropped, and the seconds that its ban has left."""
        until: dict[Address, datetime] = {ban.address: ban.until for ban in self.listed.bans} if self.listed else {}
        for one in self.pending:
            until[one.report.address] = max(one.until, until.get(one.report.address, one.until))
        return {address: ceil(left) for address, end in until.items() if (left := (end - now).total_seconds()) > 0}

    def with_reports(self, reports: list[Report], now: datetime) -> "Known":
        """Take reports in; one of an address that is pending for at least as long is nothing new."""
        pending = {one.report.address: one for one in self.pending if one.until > now}
        for report in reports:
            new = Pending.of(report, now)
            known = pending.get(report.address)
            if known is None or known.delivered or known.until < new.until:
                pending[report.address] = new
        return self.model_copy(update={"pending": tuple(pending.values())})

    def with_list(self, listed: BanList | None) -> "Known":
        """Take the panel's answer (None: unchanged); what had been delivered is the panel's to say from now on."""
        kept = tuple(one for one in self.pending if not one.delivered)
        return self.model_copy(update={"pending": kept, "listed": listed or self.listed})

    def with_outcome(self, one: Pending, *, accepted: bool) -> "Known":
        """Mark a report as delivered, or forget one that the panel has refused."""
        changed = (one.model_copy(update={"delivered": True}),) if accepted else ()
        kept = tuple(other for other in self.pending if other != one)
        return self.model_copy(update={"pending": kept + (changed if len(kept) < len(self.pending) else ())})


class Store:
    """A file that is replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE

    def load(self) -> Known:
        """Return what was kept last; nothing where there is no file or a damaged one."""
        try:
            return Known.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Known()
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be read (%s): beginning with the panel's list", self._path, type(error).__name__)
            return Known()

    def keep(self, known: Known) -> None:
        """Write it.

        Raises:
            OSError: as on a full disk; the former file is still there.

        """
        new = self._path.with_suffix(".new")
        new.write_bytes(known.model_dump_json().encode())
        new.replace(self._path)
