"""Phones are asked to fetch their configuration again, each through its own PBX."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from centralino.panel.models import CheckSyncRequest
from centralino.panel.services import check_sync, phones, tenants
from tests.unit.panel.samples import tenant_file
from tests.unit.panel.test_phones import OTHER_MAC, added, device, entry
from tests.unit.phones.samples import MAC

pytestmark = pytest.mark.usefixtures("two_tenants")


def test_phones_are_asked_to_come_again_through_their_own_pbx() -> None:
    added()
    added(mac=OTHER_MAC, devices=("102/desk",))
    tenants.import_tenant(tenant_file(200, pbx="pbx02"), source="test")
    phones.put(200, entry(mac="001565aabbee"))
    assert len(check_sync.request(phones.every(), reboot=True)) == 3
    first = check_sync.wait_for_any("pbx01", 0)
    assert [(r.endpoint, r.reboot) for r in first.requests] == [(device(n).endpoint, True) for n in ("101", "102")]
    check_sync.told("pbx01", first.requests[0].id)
    assert [r.endpoint for r in check_sync.wait_for_any("pbx01", 0).requests] == [device("102").endpoint]
    check_sync.told("pbx02", first.requests[-1].id + 100)
    assert CheckSyncRequest.objects.count() == 1, "another PBX's request stays"


def test_a_phone_is_asked_over_each_account_for_a_new_one_is_registered_nowhere() -> None:
    added()
    phones.put(175, entry(devices=("102/desk", "101/desk")))
    check_sync.request([phones.get(MAC)])
    requests = check_sync.wait_for_any("pbx01", 0).requests
    assert [request.endpoint for request in requests] == [device("102").endpoint, device("101").endpoint]


def test_an_old_request_is_not_carried_out() -> None:
    check_sync.request([added()])
    CheckSyncRequest.objects.update(created=timezone.now() - check_sync.VALID - timedelta(seconds=1))
    assert check_sync.wait_for_any("pbx01", 0).requests == ()


def test_a_waiting_pbx_hears_of_a_request_at_once() -> None:
    phone = added()

    def wait() -> Any:
        try:
            return check_sync.wait_for_any("pbx01", 20)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        check_sync.request([phone])
        assert [r.endpoint for r in waiting.result(1).requests] == [device().endpoint]


def test_a_request_is_never_seen_before_an_earlier_one_which_would_be_taken_off_with_it() -> None:
    first, second = added(), added(mac=OTHER_MAC, devices=("102/desk",))

    def ask_for_the_second() -> None:
        try:
            check_sync.request([second])
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            check_sync.request([first])
            later = pool.submit(ask_for_the_second)
            with pytest.raises(TimeoutError):
                later.result(0.5)
        later.result(5)
    assert len(check_sync.wait_for_any("pbx01", 0).requests) == 2
