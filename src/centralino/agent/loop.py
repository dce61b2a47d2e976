"""The agent's life: bring Asterisk to the last wanted snapshot, then wait for the next, for ever.

What later work adds (shipping call records) is a loop of its own beside this one.
"""

import logging
import time

from centralino.agent import notify
from centralino.agent.apply import Applier, NotInTimeError
from centralino.agent.backoff import Backoff
from centralino.agent.connection import PanelError
from centralino.agent.panel import NothingPublishedError, PanelClient
from centralino.agent.store import Store
from centralino.asterisk.cli import AsteriskError
from centralino.contract.snapshot import Snapshot, etag_in

log = logging.getLogger(__name__)

_UNPUBLISHED_SECONDS = 2.0
_LEAST_SECONDS = 1.0
"""A panel that answers "no change" at once, instead of waiting, is not asked more often than this."""

_TRIES = 3
"""So often a snapshot is applied that Asterisk does not load in time; then whoever waits is told that it is refused."""


class Agent:
    """One PBX's agent."""

    def __init__(self, pbx: str, store: Store, applier: Applier, panel: PanelClient) -> None:
        self._pbx = pbx
        self._store = store
        self._applier = applier
        self._panel = panel
        self._backoff = Backoff()
        self._told = ""
        self._handled: str | None = None
        """The tag of the publication that was applied or refused last. A restart forgets it and so tries once more."""
        self._offered = ""
        """The tag under which the panel has given a snapshot last."""
        self._late = 0
        """How often in a row Asterisk has not loaded the snapshot in time."""

    def run(self) -> None:
        """Serve until the process ends."""
        notify.notify("READY=1")
        while True:
            notify.alive(f"runs {self._store.current() or 'nothing yet'}")
            try:
                self.step()
            except NothingPublishedError as error:
                self._tell(logging.INFO, str(error))
                time.sleep(_UNPUBLISHED_SECONDS)
            except (PanelError, AsteriskError) as error:
                self._tell(logging.WARNING, str(error))
                time.sleep(self._backoff.seconds())
            except OSError as error:  # a full disk, a directory of somebody else
                self._tell(logging.ERROR, f"{error.filename or 'the agent'}: {error.strerror}")
                time.sleep(self._backoff.seconds())
            else:
                self._backoff.reset()
                self._told = ""

    def step(self) -> None:
        """Do the next thing that there is to do.

        Raises:
            PanelError: where the panel gives no usable answer; Asterisk goes on with what it has.
            AsteriskError: where Asterisk does not answer, or not in time; the snapshot is kept and applied later.

        """
        if unfinished := self._store.proposed():
            self._apply(unfinished)
        elif self._handled is None and (accepted := self._store.accepted()):
            self._apply(accepted)
        elif result := self._store.result():
            self._panel.deliver(result)
            self._store.drop_result()
        else:
            started = time.monotonic()
            published = self._panel.fetch(self._pbx, self._handled)
            if published and published.tag != self._handled:
                self._offered = published.tag
                self._apply(published.snapshot)
            elif (spent := time.monotonic() - started) < _LEAST_SECONDS:
                time.sleep(_LEAST_SECONDS - spent)

    def _apply(self, snapshot: Snapshot) -> None:
        try:
            result = self._applier.apply(snapshot, last=self._late + 1 >= _TRIES)
        except NotInTimeError:
            self._late += 1
            raise
        self._late = 0
        self._store.keep_result(result)
        self._handled = self._offered if etag_in(self._offered) == snapshot.etag else snapshot.etag

    def _tell(self, level: int, text: str) -> None:
        """Log a trouble once, however long it lasts."""
        if text != self._told:
            log.log(level, "%s", text)
            self._told = text
