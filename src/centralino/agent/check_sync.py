"""The agent's second loop: phones that are to read their configuration again are told so by this PBX."""

import logging
import threading
import time

from centralino.agent.backoff import Backoff
from centralino.agent.connection import PanelError
from centralino.agent.panel import PanelClient
from centralino.asterisk.cli import Asterisk, AsteriskError

log = logging.getLogger(__name__)

_LEAST_SECONDS = 1.0
"""A panel that answers "nothing" at once, instead of waiting, is not asked more often than this."""


class CheckSync:
    """Waits for the panel's requests and sends each phone its NOTIFY; beside the loop that applies snapshots."""

    def __init__(self, panel: PanelClient, asterisk: Asterisk) -> None:
        self._panel = panel
        self._asterisk = asterisk
        self._backoff = Backoff()
        self._told = ""

    def start(self) -> None:
        """Serve in a thread of its own until the process ends."""
        threading.Thread(target=self._run, name="check-sync", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.step()
            except (PanelError, AsteriskError, OSError) as error:  # the last one: a guest without memory for a process
                if str(error) != self._told:
                    log.warning("phones cannot be told to read their configuration: %s", error)
                    self._told = str(error)
                time.sleep(self._backoff.seconds())
            else:
                self._backoff.reset()
                self._told = ""

    def step(self) -> None:
        """Tell the phones that the panel names, as soon as it names any.

        One that is told twice, because the agent ended in between, reads its configuration twice and comes to no harm.

        Raises:
            PanelError: where the panel gives no usable answer.
            AsteriskError: where Asterisk does not answer; the phones are told later.

        """
        started = time.monotonic()
        requests = self._panel.check_syncs().requests
        for request in requests:
            kind = "check-sync-reboot" if request.reboot else "check-sync"
            self._asterisk.command(f"pjsip send notify {kind} endpoint {request.endpoint}")
            log.info("%s: told to read its configuration again", request.endpoint)
        if requests:
            self._panel.check_synced(requests[-1].id)
        elif (spent := time.monotonic() - started) < _LEAST_SECONDS:
            time.sleep(_LEAST_SECONDS - spent)
