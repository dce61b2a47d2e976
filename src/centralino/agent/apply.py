"""Apply one snapshot: render, try, swap, reload, compare, and go back where the live objects differ."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from centralino.agent import candidate
from centralino.agent.store import Store
from centralino.asterisk import wishes
from centralino.asterisk.cli import Asterisk, AsteriskError
from centralino.asterisk.objects import Objects, changed_files, differences
from centralino.asterisk.render import render
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 10.0
_RETURN_SECONDS = 30.0
"""Longer than the other: an Asterisk that crashed on the new release is started again by systemd first."""

_MOST_MESSAGE = 4000


class NotInTimeError(AsteriskError):
    """Asterisk did not answer in time, in a trial start or after the swap, and so nobody knows whether it loads it."""


@dataclass(frozen=True)
class _Outcome:
    outcome: Literal["live", "refused", "reverted"]
    message: str


class Applier:
    """Applies snapshots to the Asterisk whose configuration directory is ``configuration``."""

    def __init__(self, store: Store, configuration: Path) -> None:
        self._store = store
        self._configuration = configuration
        self._live = Asterisk(configuration / "asterisk.conf")

    def apply(self, snapshot: Snapshot, *, last: bool = False) -> ApplyResult:
        """Make ``snapshot`` live, or leave what runs; killed at any point, a second call comes to the same end.

        With ``last``, a snapshot that Asterisk does not load in time is given up as one that it does not load.

        Raises:
            AsteriskError: where the live Asterisk does not answer before anything was changed, or when all but
                forgotten wishes is as it should be. The snapshot stays proposed: apply it again later.
            NotInTimeError: as before, but what runs was left or is back. How often to try is the caller's matter.

        """
        started = time.monotonic()
        with self._store.locked():
            try:
                outcome = self._apply(snapshot)
            except NotInTimeError as error:
                if not last:
                    raise NotInTimeError(_without_secrets(str(error), snapshot)) from None
                outcome = self._refuse(str(error))
        seconds = time.monotonic() - started
        level = logging.INFO if outcome.outcome == "live" else logging.ERROR
        message = _without_secrets(outcome.message, snapshot)
        log.log(level, "snapshot %s: %s after %.1f s: %s", snapshot.etag, outcome.outcome, seconds, message)
        return ApplyResult(
            pbx=snapshot.pbx,
            etag=snapshot.etag,
            outcome=outcome.outcome,
            message=message[:_MOST_MESSAGE],
            finished=datetime.now(UTC),
            seconds=round(seconds, 3),
        )

    def agrees(self) -> str:
        """Return how the live objects differ from the current release, empty where they do not.

        Raises:
            AsteriskError: where the live Asterisk does not answer.

        """
        return differences(self._store.objects(self._store.current()), self._live.objects())

    def _apply(self, snapshot: Snapshot) -> _Outcome:
        store = self._store
        release = render(snapshot)
        name = store.write_release(snapshot.etag, release)
        if not (store.current() == name and store.accepted() == snapshot and store.proposed() is None):
            store.propose(snapshot)
        loaded = self._live.objects()
        if store.current() == name and not differences(release.objects, loaded):
            return self._accept(snapshot, "it was live already")

        log.info("release %s, %d tenants: trial start", name, len(snapshot.tenants))
        path = store.release(name)
        try:
            wrong = candidate.finding(path, release.objects, live=self._configuration, directory=store.candidate)
        except AsteriskError as error:
            raise NotInTimeError(f"the trial start is not done: {error}") from None
        if wrong:
            return self._refuse(wrong)

        changed = changed_files(release.objects, loaded)
        log.info("release %s: swap, reload of %s", name, " and ".join(changed) or "nothing")
        store.propose(snapshot)
        store.swap(name)
        try:
            wrong = self._settle(release.objects, _SETTLE_SECONDS)
        except AsteriskError as error:
            # Should it be what brings Asterisk down, the next start must not read it.
            store.swap_back()
            raise NotInTimeError(f"nothing answered after the swap: {error}") from None
        if wrong:
            log.error("release %s: %s; going back", name, wrong)
            return _Outcome("reverted", f"the running Asterisk did not take it: {wrong}. {self._return()}")
        return self._accept(snapshot, f"reloaded {' and '.join(changed) or 'nothing'}")

    def _accept(self, snapshot: Snapshot, message: str) -> _Outcome:
        # Before the snapshot is accepted: after a crash this comes once more, and knows what was accepted before.
        self._end_wishes(snapshot)
        if self._store.proposed() is not None:
            self._store.accept()
        self._store.prune()
        return _Outcome("live", message)

    def _end_wishes(self, snapshot: Snapshot) -> None:
        """End the forwards and do-not-disturbs of whoever has no extension any more."""
        kept = wishes.listed(self._live.command(wishes.LISTING))
        for wish in wishes.left_behind(kept, self._store.accepted(), snapshot):
            log.info("%s: ended, for its extension is gone or another", wish.name)
            for command in wishes.ending(wish):
                self._live.command(command)

    def _refuse(self, wrong: str) -> _Outcome:
        if self._store.swapped():  # a crash has left an earlier try of this release swapped in
            return _Outcome("reverted", f"{wrong}. {self._return()}")
        self._store.withdraw()
        return _Outcome("refused", wrong)

    def _return(self) -> str:
        """Go back to the release before the swap and say how that went."""
        former = self._store.swap_back()
        try:
            wrong = self._settle(self._store.objects(former), _RETURN_SECONDS)
        except AsteriskError as error:
            wrong = str(error)
        self._store.withdraw()
        if wrong:
            return f"The former release is back on disk, but Asterisk does not run it ({wrong}): restart Asterisk"
        return f"It runs release {former} as before" if former else "It runs without a release as before"

    def _settle(self, wanted: Objects, seconds: float) -> str:
        """Reload what is not as wanted until all is, and return what still differs after ``seconds``.

        A reload is asked for again because Asterisk refuses one while another is under way.

        Raises:
            AsteriskError: where it does not answer at the end of that time.

        """
        deadline = time.monotonic() + seconds
        pause = 0.05
        while True:
            try:
                self._live.reload(changed_files(wanted, self._live.objects()))
                wrong = differences(wanted, self._live.objects())
            except AsteriskError:
                if time.monotonic() > deadline:
                    raise
            else:
                if not wrong or time.monotonic() > deadline:
                    return wrong
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


def _without_secrets(message: str, snapshot: Snapshot) -> str:
    """Return ``message`` without SIP passwords, which Asterisk may quote in a complaint."""
    for tenant in snapshot.tenants:
        for extension in tenant.extensions:
            for device in extension.devices:
                message = message.replace(device.secret, "…")
    return message
