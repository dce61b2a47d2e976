"""Tokens as the panel's library signs them are taken; whatever an attacker makes of one is not."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from centralino.contract.tokens import Claims
from centralino.cti.tokens import LEEWAY, TokenError, has_expired, take_apart, verify

NOW = 1_800_000_000
PRIVATE = Ed25519PrivateKey.generate()
RAW = PRIVATE.public_key().public_bytes_raw()
KEY = VerifyKey(RAW)
CLAIMS = {
    "iss": "centralino-panel", "aud": "centralino-cti", "sub": "anna", "tenant": 175, "extension": "101",
    "role": "user", "networks": ["192.0.2.0/24"], "iat": NOW, "exp": NOW + 300, "jti": "12345678",
}  # fmt: skip
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519 (RFC 8032 §5.1)."""


def sign(headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token as PyJWT signs it; a claim that is None is left out."""
    payload = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(payload, PRIVATE, algorithm="EdDSA", headers={"kid": "k1", **(headers or {})})


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def code_of(token: str, now: float = NOW) -> tuple[str, bool]:
    """Return the error's code, and whether it is an attack."""
    with pytest.raises(TokenError) as refusal:
        verify(take_apart(token), KEY, now)
    return refusal.value.code, bool(refusal.value.attack)


def test_a_token_of_the_panel_says_who_comes() -> None:
    token = take_apart(sign())
    assert token.kid == "k1"
    assert verify(token, KEY, NOW) == Claims.model_validate(CLAIMS)


@pytest.mark.parametrize(
    "headers",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "Ed448"},
        {"crit": ["exp"]},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(RAW)}},
        {"typ": "JWE"},
        {"kid": ""},
        {"kid": 7},
        {"kid": None},
    ],
)
def test_a_header_that_asks_for_anything_else_is_refused(headers: dict[str, Any]) -> None:
    head = json.dumps({"alg": "EdDSA", "typ": "JWT", "kid": "k1"} | headers).encode()
    signed = f"{encoded(head)}.{encoded(json.dumps(CLAIMS).encode())}"
    assert code_of(f"{signed}.{encoded(PRIVATE.sign(signed.encode()))}") == ("token_invalid", True)


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    assert code_of(jwt.encode(CLAIMS, RAW, algorithm="HS256", headers={"kid": "k1"})) == ("token_invalid", True)


def test_a_signature_is_of_these_very_bytes() -> None:
    head, payload, signature = sign().split(".")
    assert code_of(f"{head}.{encoded(json.dumps(CLAIMS | {'tenant': 176}).encode())}.{signature}")[1]
    for other in ("", signature[:-4], signature + "AAAA", "A" * 86):
        assert code_of(f"{head}.{payload}.{other}") == ("token_invalid", True)
    # The same signature with the group's order added to its second half: genuine to a careless verifier.
    raw = PRIVATE.sign(f"{head}.{payload}".encode())
    malleable = raw[:32] + (int.from_bytes(raw[32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    assert code_of(f"{head}.{payload}.{encoded(malleable)}") == ("token_invalid", True)


@pytest.mark.parametrize("spoil", [" {}", "{} ", "{}.", "{}.x", "{}=", "{}é", "{}\n", "{}%00"])
def test_nothing_may_stand_around_a_token(spoil: str) -> None:
    assert code_of(spoil.format(sign())) == ("token_invalid", True)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": None},
        {"aud": None},
        {"iss": "somebody-else"},
        {"aud": "somebody-else"},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"sub": None},
        {"tenant": 0},
        {"role": "root"},
        {"extra": 1},
        {"iat": NOW + LEEWAY + 1},
    ],
)
def test_what_the_panel_signed_for_something_else_is_refused_without_a_ban(claims: dict[str, Any]) -> None:
    assert code_of(sign(**claims)) == ("token_invalid", False)


def test_a_token_ends_when_it_says_so() -> None:
    token = sign()
    assert verify(take_apart(token), KEY, NOW + 300 + LEEWAY - 1).sub == "anna"
    assert code_of(token, NOW + 300 + LEEWAY) == ("token_expired", False)
    assert has_expired(take_apart(token), NOW + 300)
    assert not has_expired(take_apart(token), NOW + 299)
    for payload in (b"", b"[]", b"{}", b'{"exp": "soon"}', b'{"exp": null}', b'{"exp": [1]}', b"\xff"):
        assert not has_expired(take_apart(token)._replace(payload=payload), NOW)


@given(st.text() | st.tuples(st.binary(), st.binary(), st.binary()).map(lambda three: ".".join(map(encoded, three))))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    assert code_of(text) == ("token_invalid", True)
