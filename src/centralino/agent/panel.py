"""What the agent asks of the panel and tells it: snapshots and results."""

from dataclasses import dataclass

import httpx

from centralino.agent.config import Panel
from centralino.agent.connection import WAIT, Answer, PanelConnection, PanelError
from centralino.contract.phones import CheckSyncs
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot, etag_in


class NothingPublishedError(PanelError):
    """Nobody has applied a configuration for this PBX yet."""


@dataclass(frozen=True)
class Published:
    """A publication: its tag, by which the next poll names it, and the snapshot."""

    tag: str
    snapshot: Snapshot


class PanelClient:
    """Asks and tells the panel."""

    def __init__(self, panel: Panel, *, wait: float = WAIT) -> None:
        self._connection = PanelConnection(panel, wait=wait)

    def fetch(self, pbx: str, tag: str | None) -> Published | None:
        """Return the publication of ``pbx`` as soon as it is another than ``tag``; None where the wait is over.

        Raises:
            NothingPublishedError: where there is none yet.
            PanelError: where the panel cannot be reached or its answer is not to be trusted.

        """
        answer = self._connection.poll("/agent/v1/snapshot", tag)
        match answer.status:
            case httpx.codes.OK:
                return self._checked(answer, pbx)
            case httpx.codes.NOT_MODIFIED:
                return None
            case httpx.codes.NOT_FOUND:
                raise NothingPublishedError(f"{self._connection.url} has published nothing for {pbx} yet")
            case status:
                raise self._connection.refusal(status)

    def deliver(self, result: ApplyResult) -> None:
        """Tell the panel the outcome of an apply.

        Raises:
            PanelError: where the panel did not take it.

        """
        response = self._connection.post("/agent/v1/result", result.model_dump_json())
        if response.status_code in {httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            return  # it will never take this one: an older or a newer panel, or one that lost its data
        if not response.is_success:
            raise self._connection.refusal(response.status_code)

    def check_syncs(self) -> CheckSyncs:
        """Return the phones that this PBX is to tell to read their configuration, at the latest when the wait is over.

        Raises:
            PanelError: where the panel cannot be reached or its answer is not to be trusted.

        """
        answer = self._connection.poll("/agent/v1/check-syncs", None)
        if answer.status != httpx.codes.OK:
            raise self._connection.refusal(answer.status)
        return self._connection.understood(answer, CheckSyncs, "a list of phones")

    def check_synced(self, last: int) -> None:
        """Tell the panel that the phones up to this request were told.

        Raises:
            PanelError: where the panel did not take it.

        """
        response = self._connection.delete("/agent/v1/check-syncs", upto=last)
        if not response.is_success:
            raise self._connection.refusal(response.status_code)

    def _checked(self, answer: Answer, pbx: str) -> Published:
        url = self._connection.url
        snapshot = self._connection.understood(answer, Snapshot, "a snapshot")
        if snapshot.etag != etag_in(answer.etag):
            raise PanelError(f"{url} sent snapshot {snapshot.etag} under the name {answer.etag or 'of none'}")
        if snapshot.pbx != pbx:
            raise PanelError(f"{url} sent the configuration of {snapshot.pbx}, and this is {pbx}")
        return Published(answer.etag, snapshot)
