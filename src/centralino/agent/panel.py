"""The panel's agent interface over HTTPS with client certificates."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError

from centralino.agent.config import Panel
from centralino.contract.phones import CheckSyncs
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot

WAIT = 50
"""Seconds for which the panel holds a request without an answer."""

_GRACE = 15.0
_MOST_BYTES = 64 * 1024 * 1024


class PanelError(Exception):
    """The panel gave no usable answer; the text says what and where to look."""


class NothingPublishedError(PanelError):
    """Nobody has applied a configuration for this PBX yet."""


class PanelClient:
    """Asks and tells the panel.

    Each request opens a connection of its own: it is one in 50 seconds, and so a renewed certificate is used without a
    restart.
    """

    def __init__(self, panel: Panel, *, wait: float = WAIT) -> None:
        self._panel = panel
        self._wait = wait

    def fetch(self, pbx: str, etag: str | None) -> Snapshot | None:
        """Return the snapshot of ``pbx`` as soon as it is another than ``etag``; None where the wait is over.

        Raises:
            NothingPublishedError: where there is none yet.
            PanelError: where the panel cannot be reached or its answer is not to be trusted.

        """
        headers = {"If-None-Match": f'"{etag}"'} if etag else {}
        deadline = time.monotonic() + self._wait + _GRACE
        with (
            self._client() as client,
            client.stream("GET", "/agent/v1/snapshot", params={"wait": int(self._wait)}, headers=headers) as response,
        ):
            body = _body(response, deadline)
            match response.status_code:
                case httpx.codes.OK:
                    return self._checked(body, _tag(response), pbx)
                case httpx.codes.NOT_MODIFIED:
                    return None
                case httpx.codes.NOT_FOUND:
                    raise NothingPublishedError(f"{self._panel.url} has published nothing for {pbx} yet")
                case status:
                    raise self._refusal(status)

    def deliver(self, result: ApplyResult) -> None:
        """Tell the panel the outcome of an apply.

        Raises:
            PanelError: where the panel did not take it.

        """
        with self._client() as client:
            response = client.post(
                "/agent/v1/result",
                content=result.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        if response.status_code in {httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            return  # it will never take this one: an older or a newer panel, or one that lost its data
        if not response.is_success:
            raise self._refusal(response.status_code)

    def check_syncs(self) -> CheckSyncs:
        """Return the phones that this PBX is to tell to read their configuration, at the latest when the wait is over.

        Raises:
            PanelError: where the panel cannot be reached or its answer is not to be trusted.

        """
        deadline = time.monotonic() + self._wait + _GRACE
        with (
            self._client() as client,
            client.stream("GET", "/agent/v1/check-syncs", params={"wait": int(self._wait)}) as response,
        ):
            body = _body(response, deadline)
            if not response.is_success:
                raise self._refusal(response.status_code)
        try:
            return CheckSyncs.model_validate_json(body)
        except ValidationError:
            raise PanelError(
                f"{self._panel.url} names phones in a way that this agent does not understand: "
                "is the same release on both guests?"
            ) from None

    def check_synced(self, last: int) -> None:
        """Tell the panel that the phones up to this request were told.

        Raises:
            PanelError: where the panel did not take it.

        """
        with self._client() as client:
            response = client.delete("/agent/v1/check-syncs", params={"upto": last})
        if not response.is_success:
            raise self._refusal(response.status_code)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        timeout = httpx.Timeout(10.0, read=self._wait + _GRACE)
        try:
            with httpx.Client(
                base_url=self._panel.url, verify=self._context(), timeout=timeout, trust_env=False
            ) as client:
                yield client
        except httpx.HTTPError as error:
            raise PanelError(f"{self._panel.url}: {str(error) or type(error).__name__}: is the panel up?") from None

    def _context(self) -> ssl.SSLContext:
        panel = self._panel
        try:
            context = ssl.create_default_context(cafile=panel.ca)
            context.load_cert_chain(panel.certificate, panel.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{panel.ca}, {panel.certificate} or {panel.key}"
            raise PanelError(f"{files} cannot be used ({error}): run role pki on this guest") from None
        return context

    def _refusal(self, status: int) -> PanelError:
        remedy = "is this guest's certificate known there?" if status in {400, 401, 403} else "see the panel's journal"
        return PanelError(f"{self._panel.url} answered {status}: {remedy}")

    def _checked(self, body: bytes, tag: str, pbx: str) -> Snapshot:
        try:
            snapshot = Snapshot.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise PanelError(
                f"{self._panel.url} sent a snapshot that this agent does not understand ({place}: {first['msg']}): "
                "is the same release on both guests?"
            ) from None
        if snapshot.etag != tag:
            raise PanelError(f"{self._panel.url} sent snapshot {snapshot.etag} under the name {tag or 'of none'}")
        if snapshot.pbx != pbx:
            raise PanelError(f"{self._panel.url} sent the configuration of {snapshot.pbx}, and this is {pbx}")
        return snapshot


def _body(response: httpx.Response, deadline: float) -> bytes:
    """Read the body, which may neither trickle past the deadline nor fill the memory."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise PanelError(f"the panel's answer is longer than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise PanelError("the panel's answer did not end in time")
    return bytes(body)


def _tag(response: httpx.Response) -> str:
    """Return the ETag without quotes, and without the mark that a compressing proxy puts before it."""
    return str(response.headers.get("ETag", "")).removeprefix("W/").strip('"')
