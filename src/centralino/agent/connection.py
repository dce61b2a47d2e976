"""The panel's agent interface over HTTPS with client certificates."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from centralino.agent.config import Panel
from centralino.contract.model import Model, first_finding

WAIT = 50
"""Seconds for which the panel holds a request without an answer."""

_GRACE = 15.0
_MOST_BYTES = 64 * 1024 * 1024


class PanelError(Exception):
    """The panel gave no usable answer; the text says what and where to look."""


@dataclass(frozen=True)
class Answer:
    """What the panel answered to a poll; ``etag`` is empty where it named none."""

    status: int
    body: bytes
    etag: str


class PanelConnection:
    """Asks the panel one thing at a time.

    Each request opens a connection of its own: it is one in 50 seconds, and so a renewed certificate is used without a
    restart.
    """

    def __init__(self, panel: Panel, *, wait: float = WAIT) -> None:
        self._panel = panel
        self._wait = wait

    @property
    def url(self) -> str:
        """Where the panel is, for messages."""
        return self._panel.url

    def poll(self, path: str, etag: str | None) -> Answer:
        """Ask for a document, as soon as it is another than ``etag`` or the wait is over.

        Raises:
            PanelError: where the panel cannot be reached, or its answer is too long or does not end.

        """
        headers = {"If-None-Match": f'"{etag}"'} if etag else {}
        deadline = time.monotonic() + self._wait + _GRACE
        with (
            self._client() as client,
            client.stream("GET", path, params={"wait": int(self._wait)}, headers=headers) as response,
        ):
            return Answer(response.status_code, _body(response, deadline), _tag(response))

    def post(self, path: str, document: str) -> httpx.Response:
        """Send a document.

        Raises:
            PanelError: where the panel cannot be reached.

        """
        with self._client() as client:
            return client.post(path, content=document, headers={"Content-Type": "application/json"})

    def delete(self, path: str, **what: int) -> httpx.Response:
        """Take something off a list.

        Raises:
            PanelError: where the panel cannot be reached.

        """
        with self._client() as client:
            return client.delete(path, params=what)

    def refusal(self, status: int) -> PanelError:
        """Return the error that says what a status means that should not have come."""
        remedy = "is this guest's certificate known there?" if status in {400, 401, 403} else "see the panel's journal"
        return PanelError(f"{self.url} answered {status}: {remedy}")

    def understood[M: Model](self, answer: Answer, model: type[M], what: str) -> M:
        """Return the document in an answer.

        Raises:
            PanelError: where it is none of this release's; ``what`` names it.

        """
        try:
            return model.model_validate_json(answer.body)
        except ValidationError as error:
            raise PanelError(
                f"{self.url} sent {what} that this guest does not understand ({first_finding(error)}): "
                "is the same release on both guests?"
            ) from None

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
