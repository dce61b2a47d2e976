"""What a browser has: tokens that the panel signed, and the live page's connection to the proxy."""

import json
import os
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from phones import Phones
from scenario_fixtures import within
from testinfra.host import Host
from websockets.exceptions import InvalidMessage
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki" / "ca.crt"
ORIGIN = "https://panel.example.org"


class Panel:
    """Signs tokens; its public key is put where the proxy keeps the last known ones."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def key_set(self) -> str:
        """Return what the panel answers for its public keys."""
        x = urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode().rstrip("=")
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "of-the-test", "x": x}
        return json.dumps({"keys": [key]})

    def token(self, tenant: int, lifetime: int = 300, *, extension: str | None = None, role: str = "user") -> str:
        """Return a token for a user of a tenant."""
        now = int(time.time())
        own = {} if extension is None else {"extension": extension, "sub": f"u{extension}"}
        claims = {"iss": "centralino-panel", "aud": "centralino-cti", "sub": "anna", "role": role, "tenant": tenant}
        times = {"iat": now, "exp": now + lifetime, "jti": secrets.token_hex(8)}
        return jwt.encode(claims | own | times, self._key, algorithm="EdDSA", headers={"kid": "of-the-test"})


def asterisk(host: Host, command: str) -> str:
    return str(host.check_output("asterisk -rx %s", command))


def browser(address: str, query: str, origin: str = ORIGIN, port: int = 8777) -> ClientConnection:
    """Connect; again where the line breaks off in the handshake, as the page does. A refusal is no such break.

    Nor does a request always leave: this client's two threads share a TLS object, which not every Python guards.
    """
    context = ssl.create_default_context(cafile=CA)
    url = f"wss://{address}:{port}{query}"

    def attempt() -> ClientConnection | None:
        try:
            return connect(url, ssl=context, origin=Origin(origin), proxy=None, open_timeout=5)
        except (InvalidMessage, TimeoutError):
            return None

    connection = within(15, attempt)
    assert connection is not None, "every handshake breaks off"
    return connection


class Refused(Exception):  # noqa: N818 - what the page is told, not a fault of the test
    """The proxy's or Asterisk's refusal: its code and sentence."""


class LivePage:
    """One person's live page: what it shows, and what its person asks for."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = browser(address, f"/live?token={token}")
        self._asked = 0
        self.shows: dict[str, dict[str, Any]] = {}
        """The sections, each by key."""

    def __enter__(self) -> Self:
        self._message(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def act(self, action: str, **fields: str | bool) -> None:
        """Ask for an action and wait for its outcome; raises :class:`Refused`."""
        end = time.monotonic() + 5
        while (answer := self._ask(action, fields))["type"] != "result":
            # Asterisk refuses a transfer until both are in their bridge, a moment after the answer.
            if answer["code"] != "failed" or time.monotonic() > end:
                raise Refused(f"{action}: {answer['code']}: {answer['message']}")
            time.sleep(0.2)

    def until[T](self, look: Callable[[], T], seconds: float = 15) -> T:
        """Follow the messages until the look finds something, and return it."""
        end = time.monotonic() + seconds
        while not (found := look()):
            try:
                self._message(max(0.0, end - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"not within {seconds:g} s: the page shows {json.dumps(self.shows)}") from None
        return found

    def watches(self, phones: Phones, caller: str, number: str) -> dict[str, str]:
        """Let a phone call another and follow until they talk; return their channels by number."""
        phones.call(caller, number)
        channels = self.until(self.talk(caller, number))
        time.sleep(
            0.5
        )  # Asterisk tells that a call is answered before it joins the two: who is parked then leaves none
        return channels

    def talk(self, *numbers: str) -> Callable[[], dict[str, str] | None]:
        """Return a look for a call that is up between just these extensions; it finds their channels by number."""
        return lambda: self._call("up", set(numbers))

    def held(self, *numbers: str) -> Callable[[], dict[str, str] | None]:
        """Return a look for a call between just these extensions that one of them holds."""
        return lambda: self._call("held", set(numbers))

    def rings(self, number: str) -> Callable[[], str | None]:
        """Return a look for an extension's channel that rings."""

        def look() -> str | None:
            parties = [p for call in self.shows.get("calls", {}).values() for p in call["parties"]]
            return next((p["channel"] for p in parties if p["extension"] == number and p["state"] == "ringing"), None)

        return look

    def quiet(self) -> bool:
        """Tell whether there is no call."""
        return not self.shows.get("calls")

    def _ask(self, action: str, fields: dict[str, str | bool]) -> dict[str, Any]:
        self._asked += 1
        document = {"type": "action", "id": str(self._asked), "action": action, **fields}
        self._connection.send(json.dumps(document))
        while (answer := self._message(15)).get("id") != str(self._asked):
            pass
        return answer

    def _call(self, state: str, numbers: set[str]) -> dict[str, str] | None:
        for call in self.shows.get("calls", {}).values():
            channels = {p["extension"]: p["channel"] for p in call["parties"] if p["channel"]}
            if call["state"] == state and channels.keys() == numbers:
                return channels
        return None

    def _message(self, seconds: float) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=seconds))
        if message["type"] == "snapshot":
            self.shows = {name: section for name, section in message.items() if isinstance(section, dict)}
        elif message["type"] == "change":
            for name, section in message.items():
                if isinstance(section, dict):
                    known = self.shows.setdefault(name, {})
                    known.update(section)
                    for gone in [key for key, entry in section.items() if entry is None]:
                        del known[gone]
        return message


Open = Callable[..., LivePage]
"""Opens the live page of an extension's person, with the role that a second argument names."""
