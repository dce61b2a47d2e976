"""The Proxmox API over HTTPS: one request in, its data or one sentence out.

Thin around proxmoxer: API token only, TLS always verified (by CA or fingerprint), time-outs that a busy node meets,
reads repeated when a node does not answer for a moment, writes never repeated.
"""

# mypy: disable-error-code="import-untyped"

import threading
import time
from typing import Any, Final

import requests
import urllib3
from proxmoxer import ProxmoxAPI, ResourceException
from requests.adapters import HTTPAdapter

from proxmox import calls
from proxmox.calls import Call
from proxmox.desired import Endpoint
from proxmox.errors import InterruptedRunError, ProvisionerError, RefusedError, TaskFailedError, UnansweredError
from proxmox.inventory import shown
from proxmox.journal import Journal

TIMEOUT: Final = 60
"""Seconds until a request is given up; some writes hold locks for half a minute."""
AGENT_SECONDS: Final = 10
"""Seconds that a guest's agent is given; a node's own patience with it is shorter, where it has one."""
_FIRST_TIMEOUT: Final = 10
"""Seconds for the first contact: an address where nobody is must not cost a minute."""
_UNREACHED_NODE: Final = range(595, 600)
"""Codes of the API's proxy for a node that did not answer it."""
_READ_ATTEMPTS: Final = 4
_QUESTIONS: Final = 20
_LONGEST_PAUSE: Final = 2.0
_UNAUTHORISED, _FORBIDDEN = 401, 403


class _PinnedAdapter(HTTPAdapter):
    """Accepts one certificate alone, the one with this SHA-256 fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the adapter's own)
        super().init_poolmanager(*args, assert_fingerprint=self._fingerprint, **options)


class Api:
    """The API of one cluster. May be used from several threads; each has a connection of its own."""

    def __init__(self, endpoint: Endpoint, journal: Journal | None = None) -> None:
        self.endpoint = endpoint
        self.stop = threading.Event()
        self._journal = journal
        self._local = threading.local()
        self._proved = False
        self._took: dict[str, float] = {}
        """Kind of task → seconds that the last one took."""

    @property
    def address(self) -> str:
        """Host and port, as sentences name them."""
        return f"{self.endpoint.host}:{self.endpoint.port}"

    def send(self, call: Call) -> Any:  # noqa: ANN401 (any JSON)
        """Send one request and return the answer's ``data``.

        Raises :class:`RefusedError`, :class:`UnansweredError` (a write whose outcome is not known) or
        :class:`ProvisionerError`.
        """
        if call.method != "GET":
            return self._write(call)
        attempts = _READ_ATTEMPTS if self._proved else 1
        for attempt in range(1, attempts + 1):
            try:
                data = self._once(call)
            except UnansweredError:
                if attempt == attempts:
                    raise
                self.pause(2**attempt / 4)
            else:
                self._proved = True
                return data
        raise AssertionError("unreachable")

    def ask(self, call: Call, seconds: float = AGENT_SECONDS) -> Any:  # noqa: ANN401 (any JSON)
        """Send a question that may never be answered, such as one to a guest's agent: once, and not for long.

        Raises what :meth:`send` raises.
        """
        return self._once(call, seconds)

    def _write(self, call: Call) -> Any:  # noqa: ANN401 (any JSON)
        """Send a write once, with a note on disk before it leaves and of the task that it began."""
        if self._journal is None:
            raise AssertionError(f"{call} without a journal")
        number = self._journal.intend(str(call), call.data)
        try:
            data = self._once(call)
        except UnansweredError:
            raise  # it may have arrived, and stays open in the journal
        except ProvisionerError as error:
            self._journal.end(number, error.sentences[0])
            raise
        self._proved = True
        if isinstance(data, str) and data.startswith("UPID:"):
            self._journal.task(number, data)
        else:
            self._journal.end(number, "done")
        return data

    def wait(self, upid: str, seconds: float, what: str) -> None:
        """Wait until a task has ended, and look how.

        Raises :class:`TaskFailedError` with what the task said, :class:`ProvisionerError` when ``seconds`` are over.
        """
        node, kind = upid.split(":")[1], upid.split(":")[5]
        begin, waited = time.monotonic(), 0.0
        while True:
            self.pause(_until_asked(waited, self._took.get(kind, 0.0)))
            status = self.send(calls.task(node, upid))
            if status.get("status") == "stopped":
                break
            waited = time.monotonic() - begin
            if waited > seconds:
                raise ProvisionerError(
                    f"{what}: its task on {node} still runs after {seconds:.0f} s ({upid}): look at it in the "
                    "node's task list, then run the same command again, which waits for it (proxmox_task_timeout "
                    "sets the time)"
                )
        self._took[kind] = time.monotonic() - begin
        end = str(status.get("exitstatus") or "no exit status")
        if self._journal:
            self._journal.ended(upid, end)
        if end != "OK" and not end.startswith("WARNINGS"):
            raise TaskFailedError(f"{what}: the task on {node} failed: {end} ({upid})", end)

    def pause(self, seconds: float) -> None:
        """Wait; end at once when the run is asked to stop."""
        self.stop.wait(seconds)
        self.go_on()

    def go_on(self) -> None:
        """Raise :class:`InterruptedRunError` when the run is asked to stop."""
        if self.stop.is_set():
            raise InterruptedRunError(
                "interrupted; what the cluster has begun goes on there: run the same command again"
            )

    def _once(self, call: Call, seconds: float = TIMEOUT) -> Any:  # noqa: ANN401 (any JSON)
        resource = self._client(seconds)(call.url.strip("/").split("/"))
        send = {"GET": resource.get, "POST": resource.post, "PUT": resource.put, "DELETE": resource.delete}[call.method]
        try:
            data = send(**call.data)
        except ResourceException as error:
            raise self._refusal(call, error) from None
        except requests.exceptions.SSLError as error:
            raise self._distrust(error) from None
        except (
            requests.exceptions.ConnectTimeout,
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
        ) as error:
            raise self._silence(call, error) from None
        except (KeyError, TypeError, requests.exceptions.RequestException):
            raise self._stranger() from None
        unread = isinstance(data, dict) and isinstance(data.get("errors"), bytes)
        if unread or (data is None and call.method == "GET"):
            raise self._stranger()
        return data

    def _client(self, seconds: float) -> Any:  # noqa: ANN401 (proxmoxer is not typed)
        """Return this thread's client that waits so long for an answer."""
        clients: dict[float, Any] = self._local.__dict__.setdefault("clients", {})
        if seconds not in clients:
            end = self.endpoint
            user, _, token = end.token_id.partition("!")
            verify: bool | str = str(end.ca) if end.ca else end.fingerprint is None
            client = ProxmoxAPI(
                end.host,
                port=end.port,
                user=user,
                token_name=token,
                token_value=end.token_secret,
                verify_ssl=verify,
                timeout=(_FIRST_TIMEOUT, seconds),
            )
            if end.fingerprint:
                client._store["session"].mount("https://", _PinnedAdapter(end.fingerprint))  # noqa: SLF001  (proxmoxer has no other way)
            clients[seconds] = client
        return clients[seconds]

    def _refusal(self, call: Call, error: ResourceException) -> ProvisionerError:
        status, reason = int(error.status_code), " ".join(str(error.content or error.status_message or "").split())
        if isinstance(error.errors, dict) and error.errors:
            reason += (
                " (" + "; ".join(f"{key}: {' '.join(str(value).split())}" for key, value in error.errors.items()) + ")"
            )
        if status == _UNAUTHORISED:
            return RefusedError(
                f"{self._place('api_token_secret')}: {self.address} refuses the token {self.endpoint.token_id} "
                f"({reason}): correct proxmox_api_token_id and proxmox_api_token_secret, or make the token anew "
                "(Datacenter, Permissions, API Tokens)",
                status,
                reason,
            )
        if status == _FORBIDDEN:
            return RefusedError(
                f"{self._place('api_token_id')}: the token {self.endpoint.token_id} may not {call} ({reason}): give "
                "this privilege on this path to the token and to its user",
                status,
                reason,
            )
        if status in _UNREACHED_NODE:
            return UnansweredError(
                f"{call}: the node does not answer ({status} {reason}): see that it runs and is in the cluster"
            )
        return RefusedError(f"{self.address} refuses {call}: {status} {reason}", status, reason)

    def _distrust(self, error: Exception) -> ProvisionerError:
        text = str(error)
        if self.endpoint.fingerprint:
            name, remedy = (
                "api_fingerprint",
                "compare it with the node's certificate (Node, System, Certificates) and correct it",
            )
            detail = "its fingerprint is another"
        else:
            name, remedy = "api_ca", "set it to the CA that signed it (/etc/pve/pve-root-ca.pem of a node)"
            detail = _reason(text)
            if "mismatch" in text or "doesn't match" in text:
                name, remedy = "api_host", "set it to a name or address that is in the certificate"
        return ProvisionerError(
            f"{self._place(name)}: proxmox_{name}: the certificate of {self.address} is not trusted, {detail}: {remedy}"
        )

    def _silence(self, call: Call, error: Exception) -> ProvisionerError:
        never_sent = isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in repr(error)
        if never_sent or not self._proved:
            sentence = (
                f"{self._place('api_host')}: the Proxmox API at {self.address} cannot be reached "
                f"({_reason(str(error))}): see that the node runs and that this machine may reach it, or correct "
                "proxmox_api_host and proxmox_api_port"
            )
            # A read may be tried again either way; a write that was never sent has an outcome that is known.
            return UnansweredError(sentence) if call.method == "GET" else ProvisionerError(sentence)
        return UnansweredError(
            f"{call}: {self.address} took the request and did not answer ({_reason(str(error))}): run the same "
            "command again"
        )

    def _stranger(self) -> ProvisionerError:
        return ProvisionerError(
            f"{self._place('api_host')}: what answers at {self.address} is not the Proxmox API: correct "
            "proxmox_api_host and proxmox_api_port"
        )

    def _place(self, field: str) -> str:
        name = f"proxmox_{field}"
        return shown(self.endpoint.where[name]) if name in self.endpoint.where else name


def _until_asked(waited: float, usual: float) -> float:
    """Return the seconds until a task is asked for (again): seldom before its usual end, often when it is near.

    The next clone waits for this one's end: what is lost to asking is a twentieth of the task, at most.
    """
    return min(max(0.9 * usual - waited, waited / _QUESTIONS, 0.1), _LONGEST_PAUSE)


def _reason(text: str) -> str:
    """Return the last words of a connection error, without the layers of library names around them."""
    lowered = text.lower()
    for phrase in (
        "connection refused",
        "no route to host",
        "network is unreachable",
        "name or service not known",
        "timed out",
        "self-signed certificate in certificate chain",
        "self-signed certificate",
        "unable to get local issuer certificate",
        "certificate has expired",
        "no certificate or crl found",
        "hostname mismatch",
        "ip address mismatch",
        "connection reset by peer",
        "remote end closed connection",
    ):
        if phrase in lowered:
            return phrase
    return " ".join(text.split())[-160:]


urllib3.disable_warnings(
    urllib3.exceptions.InsecureRequestWarning
)  # a pinned certificate is verified by its fingerprint
