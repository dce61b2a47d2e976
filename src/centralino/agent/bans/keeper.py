"""Three loops around one state: reports come in, go to the panel, its list comes back; each change is enforced."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final, NoReturn

import httpx
from pydantic import ValidationError

from centralino.agent import notify
from centralino.agent.backoff import Backoff
from centralino.agent.bans.firewall import Address, FirewallError
from centralino.agent.bans.store import Known, Pending, Store
from centralino.agent.connection import PanelConnection, PanelError
from centralino.contract.bans import MAX_REPORT_BYTES, BanList, Report, etag_of
from centralino.contract.model import first_finding

log = logging.getLogger(__name__)

_PATH: Final = "/agent/v1/bans"
_BURST: Final = 256
"""Reports that are taken together, so that a flood of them is enforced in few steps."""
_LEAST_SECONDS: Final = 0.2
"""Between two polls: many bans at once are fetched together."""
_REFUSALS: Final = {
    httpx.codes.CONFLICT, httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY,
    httpx.codes.REQUEST_ENTITY_TOO_LARGE,
}  # fmt: skip
"""Answers after which a report is not sent again: it must not be banned, or this panel is of another release."""

Enforce = Callable[[Mapping[Address, int]], None]


class Keeper:
    """One guest's bans.

    A report is in force here at once, panel or not. The panel decides: what it refuses is lifted again, what it lists
    is in force on every guest. While it is down the last list holds, and each ban runs out at its time.
    """

    def __init__(self, store: Store, panel: PanelConnection, enforce: Enforce) -> None:
        self._store = store
        self._panel = panel
        self._enforce = enforce
        self._known = store.load()
        self._changed = threading.Condition()
        self._told: dict[str, str] = {}
        self._enforced: frozenset[Address] = frozenset()

    def start(self) -> None:
        """Put in force what was known last."""
        self._change(lambda known: known)

    # --- reports come in ---

    def receive(self, reports: socket.socket) -> NoReturn:
        """Take datagrams, one ``Report`` each, for ever."""
        while True:
            documents = [reports.recv(MAX_REPORT_BYTES)]
            while len(documents) < _BURST:
                try:
                    documents.append(reports.recv(MAX_REPORT_BYTES, socket.MSG_DONTWAIT))
                except BlockingIOError:
                    break
            read = [report for document in documents if (report := _read(document))]
            now = datetime.now(UTC)
            self._change(partial(Known.with_reports, reports=read, now=now))

    # --- and go on to the panel ---

    def deliver(self) -> NoReturn:
        """Tell the panel each report, again and again until it answers."""
        backoff = Backoff()
        while True:
            one = self._next()
            try:
                self._deliver(one)
            except PanelError as error:
                self._tell("report", str(error))
                time.sleep(backoff.seconds())
            else:
                backoff.reset()
                self._tell("report", "")

    def _next(self) -> Pending:
        """Wait for a report that the panel has not got."""
        with self._changed:
            while True:
                now = datetime.now(UTC)
                waiting = [one for one in self._known.pending if not one.delivered and one.until > now]
                if waiting:
                    return waiting[0]
                self._changed.wait()

    def _deliver(self, one: Pending) -> None:
        left = round((one.until - datetime.now(UTC)).total_seconds())
        report = one.report.model_copy(update={"seconds": max(left, 1)})
        answer = self._panel.post(_PATH, report.model_dump_json())
        if not answer.is_success and answer.status_code not in _REFUSALS:
            raise self._panel.refusal(answer.status_code)
        if not answer.is_success:
            log.warning("not banned: address=%s: the panel says: %s", report.address, answer.text[:300])
        self._change(lambda known: known.with_outcome(one, accepted=answer.is_success))

    # --- and its list comes back ---

    def follow(self) -> NoReturn:
        """Hold the panel's long poll, for ever. Each answer is enforced anew, which also repairs what others did."""
        backoff = Backoff()
        while True:
            known = self._known
            count = len(known.wanted(datetime.now(UTC)))
            notify.alive(f"{count} addresses banned" + ("" if known.listed else "; no list from the panel yet"))
            started = time.monotonic()
            try:
                listed = self._poll(known.listed)
            except PanelError as error:
                self._tell("list", f"{error} The last known list stays in force.")
                self._change(lambda known: known)
                time.sleep(backoff.seconds())
            else:
                backoff.reset()
                self._tell("list", "")
                self._change(partial(Known.with_list, listed=listed))
                time.sleep(max(0.0, _LEAST_SECONDS - (time.monotonic() - started)))

    def _poll(self, known: BanList | None) -> BanList | None:
        answer = self._panel.poll(_PATH, known.etag if known else None)
        if answer.status == httpx.codes.NOT_MODIFIED:
            return None
        if answer.status != httpx.codes.OK:
            raise self._panel.refusal(answer.status)
        listed = self._panel.understood(answer, BanList, "a list")
        if etag_of(answer.body) != answer.etag:
            raise PanelError(f"{self._panel.url} sent a list under another's name: is something between changing it?")
        return listed

    # --- the state ---

    def _change(self, step: Callable[[Known], Known]) -> None:
        """Make the next state and enforce it; what cannot be kept or enforced is told, and tried at the next change."""
        with self._changed:
            former, self._known = self._known, step(self._known)
            wanted = self._known.wanted(datetime.now(UTC))
            try:
                self._enforce(wanted)
            except FirewallError as error:
                self._tell("firewall", str(error))
            else:
                self._tell("firewall", "")
                self._tell_who(wanted)
            if self._known != former:
                try:
                    self._store.keep(self._known)
                except OSError as error:
                    self._tell("store", f"the list cannot be kept ({error.strerror}): it will not outlive a reboot")
                else:
                    self._tell("store", "")
            self._changed.notify_all()

    def _tell_who(self, wanted: Mapping[Address, int]) -> None:
        """Log who is dropped since now, and who is not any more."""
        for address in wanted.keys() - self._enforced:
            log.info("in force: address=%s seconds=%d", address, wanted[address])
        for address in self._enforced - wanted.keys():
            log.info("over: address=%s", address)
        self._enforced = frozenset(wanted)

    def _tell(self, about: str, text: str) -> None:
        """Log a trouble once, however long it lasts, and its end."""
        former = self._told.get(about, "")
        if text and text != former:
            log.warning("%s", text)
        elif former and not text:
            log.info("%s: well again", about)
        self._told[about] = text


def _read(document: bytes) -> Report | None:
    try:
        report = Report.model_validate_json(document)
    except ValidationError as error:
        log.warning("a report was not taken: %s", first_finding(error, whole="the datagram"))
        return None
    log.info("reported: address=%s part=%s seconds=%d: %s", report.address, report.part, report.seconds, report.reason)
    return report
