"""What became of publications: agents tell, people read."""

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import transaction

from centralino.contract.result import ApplyResult
from centralino.panel import config, logs
from centralino.panel.models import ApplyRecord, Publication
from centralino.panel.services import notify, publish

_log = logging.getLogger(__name__)

State = Literal["none", "pending", "live", "refused", "reverted"]


@dataclass(frozen=True)
class ApplyState:
    """The publication in force of a PBX and what its agent last told about it; None where there is none yet."""

    pbx: str
    publication: Publication | None
    record: ApplyRecord | None

    @property
    def state(self) -> State:
        """``none`` before the first publication, ``pending`` until the agent has told, then what it told."""
        if self.publication is None:
            return "none"
        if self.record is None:
            return "pending"
        match self.record.outcome:
            case "live" | "refused" | "reverted" as outcome:
                return outcome
            case unknown:  # the table's constraint allows no other
                raise ValueError(unknown)


def record(result: ApplyResult) -> bool:
    """Keep an agent's result with the newest publication that it speaks of; tell whether there is one."""
    with transaction.atomic():
        publication = Publication.objects.filter(pbx=result.pbx, etag=result.etag).order_by("-id").first()
        if publication is None:
            # As after the panel's database came back from a backup: nothing is wrong with the PBX.
            _log.warning("%s told of %s, which was never published here: not kept", result.pbx, result.etag)
            return False
        ApplyRecord.objects.create(
            publication=publication,
            outcome=result.outcome,
            message=logs.one_line(result.message),  # Asterisk is quoted in it, and may have quoted anything
            finished=result.finished,
            seconds=result.seconds,
        )
        notify.send(notify.Channel.RESULT, result.pbx)
    return True


def states(pbxs: Collection[str] | None = None) -> list[ApplyState]:
    """Return where every PBX stands, or those that are named."""
    publications = publish.latest_of_all()
    records: dict[int, ApplyRecord] = {}
    for kept in ApplyRecord.objects.filter(publication__in=publications.values()).order_by("id"):
        records[kept.publication_id] = kept
    found = []
    for pbx in config.site().pbxs if pbxs is None else sorted(pbxs):
        publication = publications.get(pbx)
        found.append(ApplyState(pbx, publication, records.get(publication.id) if publication else None))
    return found


def follow(pbxs: Collection[str], seconds: float) -> Iterator[list[ApplyState]]:
    """Yield where these PBX stand, now and after each result, until all have told or the time is over."""
    end = time.monotonic() + seconds
    with notify.listening(notify.Channel.RESULT) as wait:
        while True:
            current = states(pbxs)
            yield current
            left = end - time.monotonic()
            if left <= 0 or all(state.state != "pending" for state in current):
                return
            wait(None, left)
