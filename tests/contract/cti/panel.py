"""The panel's side of the tokens: signs them, and answers for the public keys to a client certificate of the CA."""

import asyncio
import base64
import secrets
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from centralino.contract.tokens import AUDIENCE, ISSUER, LIFETIME, KeySet, PublicKey
from tests.contract.cti.certificates import Guest


class Signer:
    """One signing key."""

    def __init__(self, kid: str = "") -> None:
        self.kid = kid or secrets.token_hex(8)
        self._key = Ed25519PrivateKey.generate()

    @property
    def public(self) -> PublicKey:
        x = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode().rstrip("=")
        return PublicKey(kid=self.kid, x=x)

    def token(self, tenant: int, *, sub: str = "anna", age: int = 0, **claims: Any) -> str:
        now = int(time.time()) - age
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "tenant": tenant,
            "extension": None,
            "role": "user",
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(payload | claims, self._key, algorithm="EdDSA", headers={"kid": self.kid})


@dataclass
class Panel:
    """The agent API as far as the proxy asks it."""

    guest: Guest
    ca: Path
    signers: list[Signer] = field(default_factory=list)
    requests: int = 0
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        tls = self.guest.server_context()
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(self.ca)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        found = request.startswith(b"GET /agent/v1/keys HTTP/1.1\r\n")
        body = KeySet(keys=tuple(s.public for s in self.signers)).model_dump_json().encode() if found else b""
        status = b"200 OK" if found else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()
