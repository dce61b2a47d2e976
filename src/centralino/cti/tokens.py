"""Lets in who bears a genuine token: verification, and the panel's public keys, kept over restarts of either side."""

import asyncio
import contextlib
import http.client
import logging
import os
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey
from pydantic import Field, ValidationError

from centralino.contract.model import Model
from centralino.contract.tokens import Claims, KeySet
from centralino.cti.config import Panel

log = logging.getLogger(__name__)

LEEWAY: Final = 5
"""Seconds by which the panel's clock and ours may differ."""
_PATH: Final = "/agent/v1/keys"
_LONGEST_DOCUMENT: Final = 65536
UNKNOWN_KEY_INTERVAL: Final = 5.0
"""Seconds between fetches that unknown keys cause: forged tokens must not become requests to the panel."""

_FORGED: Final = "a forged token at the CTI proxy"
_EXPIRED: Final = "the token has expired: take a new one from the panel"
_NOT_FOR_US: Final = "the token is not for this proxy: take a new one from the panel"
_WRITTEN: Final = {"iss", "aud"}
"""Claims that have a default for who signs; a token must say them."""
FRESH: Final = 300.0
"""Seconds after a fetch for which we have all of the panel's keys: it lists each ten minutes before its first use."""


class TokenError(Exception):
    """A token that lets nobody in.

    ``code`` is for programs; the text never repeats the token. ``attack`` says for the list of bans what was tried, and
    is empty where an honest browser may have come with it.
    """

    def __init__(self, code: str, text: str, *, attack: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.attack = attack


class Keys:
    """The public keys that are valid now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, VerifyKey] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def get(self, kid: str) -> VerifyKey | None:
        """Return a key by its ``kid``."""
        return self._keys.get(kid)

    def load(self) -> None:
        """Take the keys that were last known; a missing or damaged file leaves none."""
        try:
            self._take(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("%s: not taken (%s); keys come from the panel", self._path, type(error).__name__)

    def update(self, document: bytes) -> None:
        """Take a new key set and keep it on disk.

        Raises:
            ValueError: the document is no key set.

        """
        if not self._take(document):
            return
        try:
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(document)
            temporary.replace(self._path)
        except OSError as error:
            log.warning("%s: cannot be written (%s); the keys will not outlive a restart", self._path, error.strerror)

    def _take(self, document: bytes) -> bool:
        key_set = KeySet.model_validate_json(document)
        keys = {k.kid: VerifyKey(_decoded(k.x)) for k in key_set.keys}
        changed = keys != self._keys
        self._keys = keys
        return changed


class _Header(Model):
    """A token's first part (RFC 7515 §4); closed, so that nothing comes along that asks more of us (``crit``)."""

    alg: Literal["EdDSA"]
    typ: Literal["JWT"] = "JWT"
    kid: Annotated[str, Field(min_length=1, max_length=64)]


class Token(NamedTuple):
    """A token taken apart (JWS compact serialisation, RFC 7515 §3.1); nothing of it is proven yet."""

    kid: str
    signed: bytes
    """What the signature is over: the first two parts as they came."""
    payload: bytes
    signature: bytes


def take_apart(token: str) -> Token:
    """Return the parts of a token.

    Raises:
        TokenError: it is none of ours.

    """
    try:
        head, payload, signature = token.split(".")
        header = _Header.model_validate_json(_decoded(head))
        return Token(header.kid, f"{head}.{payload}".encode("ascii"), _decoded(payload), _decoded(signature))
    except ValueError:  # what base64, ASCII and pydantic raise, too
        text = "this is no token as the panel signs them: take a new one"
        raise TokenError("token_invalid", text, attack=_FORGED) from None


def _decoded(part: str) -> bytes:
    """Return the bytes of base64url without padding (RFC 7515 §2); text that these bytes do not give is refused."""
    data = urlsafe_b64decode(part + "==")
    if urlsafe_b64encode(data).rstrip(b"=") != part.encode("ascii"):
        raise ValueError("not base64url as it is written")
    return data


def verify(token: Token, key: VerifyKey, now: float) -> Claims:
    """Return what a token says at a time (seconds since 1970).

    One algorithm and our own claims are all that is taken, and the models check those. A library for every kind of JWT
    would add ways in that must be closed again, and 10 MB of memory (PyJWT and cryptography).

    Raises:
        TokenError: ``token_expired`` where it is genuine but too old, else ``token_invalid``.

    """
    try:
        key.verify(token.signed, token.signature)
    except CryptoError:  # for another length, too
        text = "the token is not genuine: take a new one from the panel"
        raise TokenError("token_invalid", text, attack=_FORGED) from None
    # From here on it is the panel's own: clocks that differ, or another release of ours.
    try:
        claims = Claims.model_validate_json(token.payload)
    except ValidationError:
        raise TokenError("token_invalid", _NOT_FOR_US) from None
    if claims.iat > now + LEEWAY or _WRITTEN - claims.model_fields_set:
        raise TokenError("token_invalid", _NOT_FOR_US)
    if claims.exp <= now - LEEWAY:
        raise TokenError("token_expired", _EXPIRED)
    return claims


def has_expired(token: Token, now: float) -> bool:
    """Tell whether a token of a key that we do not have says itself that it is over: its key may be gone for that."""
    try:
        return float(orjson.loads(token.payload)["exp"]) <= now
    except (KeyError, TypeError, ValueError):
        return False


class Gatekeeper:
    """Verifies tokens and keeps the keys fresh: :meth:`run` fetches them until it is cancelled."""

    def __init__(self, panel: Panel, ca: Path, keys: Keys) -> None:
        self.keys = keys
        self._panel = panel
        tls = ssl.create_default_context(cafile=ca)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(panel.certificate, panel.key)
        self._tls = tls
        # One thread, for there is one question at a time; an HTTP library for it would take 10 MB of memory.
        self._thread = ThreadPoolExecutor(1, "panel")
        self._fetching: asyncio.Task[bool] | None = None
        self._last_for_unknown = -UNKNOWN_KEY_INTERVAL
        self._complaint = ""
        self._fetched = -FRESH
        """When the keys were fetched last (the loop's clock)."""

    async def claims(self, token: str) -> Claims:
        """Verify a token, asking the panel once more where its key is unknown.

        Raises:
            TokenError: with a code and a sentence for the client.

        """
        parts = take_apart(token)
        key = self.keys.get(parts.kid)
        if key is None:
            await self._fetch_for_unknown()
            key = self.keys.get(parts.kid)
        if key is None:
            if has_expired(parts, time.time()):
                raise TokenError("token_expired", _EXPIRED)
            # While the panel does not answer, it may have keys that we do not know.
            fresh = asyncio.get_running_loop().time() - self._fetched < FRESH
            text = "the token's key is not one of the panel's: take a new token"
            raise TokenError("token_invalid", text, attack=_FORGED if fresh else "")
        return verify(parts, key, time.time())

    async def run(self) -> None:
        """Fetch the keys now and then every ``refresh`` seconds; sooner while the panel does not answer."""
        while True:
            fetched = await self._fetch()
            await asyncio.sleep(self._panel.refresh if fetched else min(5, self._panel.refresh))

    def close(self) -> None:
        """Ask the panel no more; a question under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _fetch_for_unknown(self) -> None:
        now = asyncio.get_running_loop().time()
        under_way = self._fetching is not None and not self._fetching.done()
        if not under_way and now - self._last_for_unknown < UNKNOWN_KEY_INTERVAL:
            return
        self._last_for_unknown = now
        await self._fetch()

    async def _fetch(self) -> bool:
        """Fetch once, however many ask at the same time."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_now())
        return await asyncio.shield(self._fetching)

    async def _fetch_now(self) -> bool:
        url = f"{self._panel.url}{_PATH}"
        try:
            document = await asyncio.get_running_loop().run_in_executor(self._thread, self._get)
            self.keys.update(document)
            self._fetched = asyncio.get_running_loop().time()
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = "no key set" if isinstance(error, ValueError) else str(error).partition("\n")[0]
            reason = reason or type(error).__name__
            complaint = f"{url}: no keys ({reason}); going on with the {len(self.keys)} last known"
            if complaint != self._complaint:
                log.warning("%s", complaint)
            self._complaint = complaint
            return False
        if self._complaint:
            log.info("%s: keys fetched again", url)
        self._complaint = ""
        return True

    def _get(self) -> bytes:
        panel = urlsplit(self._panel.url)
        connection = http.client.HTTPSConnection(panel.hostname or "", panel.port, timeout=5, context=self._tls)
        with contextlib.closing(connection):
            connection.request("GET", _PATH, headers={"Accept": "application/json"})
            response = connection.getresponse()
            document = response.read(_LONGEST_DOCUMENT)
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"status {response.status}")
        return document


def state_path() -> Path:
    """Return where the last known keys are kept: systemd's state directory, or the current one."""
    return Path(os.environ.get("STATE_DIRECTORY", ".")) / "keys.json"
