"""The keys that sign tokens: a new one each hour, announced before it is used, listed until its last token is over."""

import base64
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction
from django.utils import timezone

from centralino.contract.names import new_sip_secret
from centralino.contract.tokens import LIFETIME, KeySet, PublicKey
from centralino.panel.models import SigningKey
from centralino.panel.services import locks

PERIOD = timedelta(minutes=60)
"""How long a key signs."""
ANNOUNCED = timedelta(minutes=10)
"""How long before its first use a key is listed, so that a CTI proxy knows it when its first token comes."""
KEPT = timedelta(seconds=LIFETIME) + timedelta(minutes=5)
"""How long after its last use a key is listed: the last token's life, and clocks that differ."""

_CLOCKS = timedelta(minutes=1)
"""A key made for now holds for a moment ago too: whoever looked at the clock before the lock was free must find it."""


def signing_key(now: datetime | None = None) -> SigningKey:
    """Return the key that signs at ``now``; make it where there is none."""
    now = now or timezone.now()
    _ensure(now)
    return SigningKey.objects.filter(starts__lte=now, ends__gt=now).latest("starts")


def public_keys(now: datetime | None = None) -> KeySet:
    """Return all keys by which a token of now, of the last minutes or of the next ones is verified."""
    now = now or timezone.now()
    _ensure(now)
    return KeySet(
        keys=tuple(
            PublicKey(kid=key.kid, x=base64.urlsafe_b64encode(bytes(key.public)).decode().rstrip("="))
            for key in SigningKey.objects.filter(ends__gt=now - KEPT)
        )
    )


def _ensure(now: datetime) -> None:
    """Make the key of now and, when its hour nears its end, the next; several processes may do so at once."""
    if _complete(now):
        return
    with transaction.atomic():
        locks.take(locks.Lock.SIGNING_KEYS)
        if not SigningKey.objects.filter(starts__lte=now, ends__gt=now).exists():
            _make(now - _CLOCKS, now + PERIOD)
        if not _complete(now):
            starts = SigningKey.objects.filter(ends__gt=now).latest("ends").ends
            _make(starts, starts + PERIOD)
        SigningKey.objects.filter(ends__lte=now - KEPT).delete()


def _complete(now: datetime) -> bool:
    """Tell whether there is a key for now and one for all of the time by which a key is announced."""
    return (
        SigningKey.objects.filter(starts__lte=now, ends__gt=now).exists()
        and SigningKey.objects.filter(ends__gt=now + ANNOUNCED).exists()
    )


def _make(starts: datetime, ends: datetime) -> None:
    private = Ed25519PrivateKey.generate()
    SigningKey.objects.create(
        kid=new_sip_secret()[:16],
        private=private.private_bytes_raw(),
        public=private.public_key().public_bytes_raw(),
        starts=starts,
        ends=ends,
    )
