"""Phones that are to read their configuration again: the panel lists them, their PBX sends the NOTIFY."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from centralino.contract.phones import CheckSync, CheckSyncs
from centralino.panel.models import CheckSyncRequest, Phone
from centralino.panel.services import locks, notify

VALID = timedelta(minutes=10)
"""A PBX that was away for longer is not asked any more: nobody expects that phones restart an hour later."""


def request(phones: Iterable[Phone], *, reboot: bool = False) -> list[Phone]:
    """Ask phones to read their configuration again, with a restart if ``reboot``; return those that have an account.

    A phone without one is registered nowhere and cannot be told. One is asked over each: what is new to it is
    registered nowhere yet, and to be asked twice does it no harm.
    """
    asked, requests = [], []
    with transaction.atomic():
        # An id is given before the commit: without this a later one could be told, and an earlier one taken off unseen.
        locks.take(locks.Lock.CHECK_SYNCS)
        CheckSyncRequest.objects.filter(created__lt=timezone.now() - VALID).delete()
        for phone in phones:
            endpoints = [account.device.endpoint for account in phone.accounts.all()]
            if endpoints:
                asked.append(phone)
            requests += [CheckSyncRequest(pbx=phone.tenant.pbx, endpoint=name, reboot=reboot) for name in endpoints]
        CheckSyncRequest.objects.bulk_create(requests)
        for pbx in sorted({request.pbx for request in requests}):
            notify.send(notify.Channel.CHECK_SYNC, pbx)
    return asked


def wait_for_any(pbx: str, seconds: float) -> CheckSyncs:
    """Return what a PBX is to send, as soon as there is something or after so many seconds."""
    found = _open(pbx)
    if found.requests or seconds <= 0:
        return found
    with notify.listening(notify.Channel.CHECK_SYNC) as wait:
        # Between the first look and the listening something may have been asked.
        found = _open(pbx)
        if not found.requests and wait(pbx, seconds):
            found = _open(pbx)
    return found


def told(pbx: str, last: int) -> None:
    """Take those off the list, up to an id, that a PBX has told."""
    CheckSyncRequest.objects.filter(pbx=pbx, id__lte=last).delete()


def _open(pbx: str) -> CheckSyncs:
    rows = CheckSyncRequest.objects.filter(pbx=pbx, created__gte=timezone.now() - VALID)
    return CheckSyncs(requests=tuple(CheckSync(id=r.id, endpoint=r.endpoint, reboot=r.reboot) for r in rows))
