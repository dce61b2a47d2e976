"""The cluster's bans: reported by guests, added and lifted by operators, fetched by every guest."""

import logging
import socket
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from centralino.contract import bans as contract
from centralino.contract.bans import DAY, BanList, Report, within
from centralino.panel import config
from centralino.panel.addresses import counted_as
from centralino.panel.models import Ban, Tenant, WrongPassword
from centralino.panel.services import locks, notify
from centralino.panel.services.errors import ServiceError

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_DAY: Final = timedelta(seconds=DAY)
WRONG_PASSWORDS: Final = 5
"""So many from one address or IPv6 /64 within a day, and it is banned."""

_log = logging.getLogger(__name__)


class NeverBannedError(ServiceError):
    """The address is one that must stay reachable."""


def in_force() -> list[Ban]:
    """Return the bans that hold now, by address."""
    return list(Ban.objects.filter(until__gt=timezone.now()))


def current() -> BanList:
    """Return what guests keep in force."""
    return BanList(
        bans=tuple(
            contract.Ban.model_validate(
                {name: getattr(ban, name) for name in ("address", "part", "guest", "reason", "since", "until")}
            )
            for ban in in_force()
        )
    )


def wait_for_other(etags: set[str], seconds: float) -> BanList:
    """Return the list once its etag is none of ``etags``, or when so many seconds are over."""
    found = current()
    if seconds <= 0 or found.etag not in etags:
        return found
    with notify.listening(notify.Channel.BANS) as wait:
        # Between the first look and the listening something may have been banned.
        found = current()
        if found.etag in etags and wait(None, seconds):
            found = current()
    return found


def ban(report: Report, *, guest: str) -> Ban:
    """Ban an address on the whole cluster, from now on; a ban in force is prolonged, and never cut short.

    Raises:
        NeverBannedError: the address is in a network that must stay reachable.

    """
    _refuse_never_banned(report)
    now = timezone.now()
    until = now + timedelta(seconds=report.seconds)
    with transaction.atomic():
        Ban.objects.filter(until__lte=now).delete()
        row, new = Ban.objects.select_for_update().get_or_create(
            address=str(report.address),
            defaults={
                "part": report.part, "guest": guest, "reason": report.reason, "since": now, "until": until,
            },
        )  # fmt: skip
        if new or row.until < until:
            row.until = until
            row.save(update_fields=["until"])
            notify.send(notify.Channel.BANS)
    if new:
        _log.info("banned: address=%s part=%s guest=%s: %s", row.address, row.part, row.guest, row.reason)
    return row


def add(address: str, *, seconds: int, reason: str, by: str, own: Iterable[str] = ()) -> Ban:
    """Ban an address because a person says so; ``own`` are the addresses that this person comes from.

    Raises:
        ServiceError: it is no address, the person's own, or in a network that must stay reachable.

    """
    try:
        report = Report.model_validate(
            {"address": address, "part": "operator", "reason": f"{reason} ({by})"[:200], "seconds": seconds}
        )
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        raise ServiceError(f"{address}: {finding['msg']}: give one address, such as 203.0.113.7") from None
    if str(report.address) in {str(contract.plain(ip_address(one))) for one in own}:
        raise NeverBannedError(f"{report.address} is your own address: you would lock yourself out")
    return ban(report, guest=here())


def lift(address: str, *, by: str) -> bool:
    """End a ban at once, everywhere; tell whether there was one.

    Raises:
        ServiceError: it is no address.

    """
    try:
        wanted = str(contract.plain(ip_address(address.strip())))
    except ValueError:
        raise ServiceError(f"{address}: this is no address: see `centralino ban list`") from None
    with transaction.atomic():
        lifted, _ = Ban.objects.filter(address=wanted).delete()
        # Who is let in again begins anew.
        WrongPassword.objects.filter(address=counted_as(wanted)).delete()
        notify.send(notify.Channel.BANS)
    if lifted:
        _log.info("ban lifted: address=%s by=%s", wanted, by)
    return bool(lifted)


def attack(address: str | None, *, reason: str) -> None:
    """Ban who attacks the panel itself; nothing happens to an address that is never banned, or that nobody knows."""
    if not address:
        return
    report = Report.model_validate({"address": address, "part": "panel", "reason": reason, "seconds": DAY})
    try:
        ban(report, guest=here())
    except NeverBannedError as error:
        _log.warning("%s", error)


def wrong_password(address: str | None, login: str) -> None:
    """Count a wrong password; the fifth within a day is a ban. Those after it change nothing."""
    if not address:
        return
    now = timezone.now()
    with transaction.atomic():
        # Of several at once none sees the others' rows before their commits: all would be the first.
        locks.take(locks.Lock.WRONG_PASSWORDS)
        WrongPassword.objects.filter(at__lte=now - _DAY).delete()
        before = _wrong_passwords(address)
        if before >= WRONG_PASSWORDS:
            return
        WrongPassword.objects.create(address=counted_as(address), login=login, at=now)
        if before + 1 == WRONG_PASSWORDS:
            attack(address, reason=f"{WRONG_PASSWORDS} wrong passwords within a day at the panel's log-in")


def shut_out(address: str | None) -> bool:
    """Tell whether a log-in is refused, the password right or wrong, after too many from the same IPv6 /64.

    A ban holds the one address that it names, and whoever attacks has 2^64 more there.
    """
    if not address or ip_address(address).version == 4 or _never_banned(address):  # noqa: PLR2004
        return False
    return _wrong_passwords(address) >= WRONG_PASSWORDS


def right_password(address: str | None, login: str) -> None:
    """Forget the wrong ones that came from there for the same log-in.

    Those for others stay: whoever has one log-in would try all others for ever, with the own one in between.
    """
    if address:
        WrongPassword.objects.filter(address=counted_as(address), login=login).delete()


def may_come_from(tenant: Tenant | None, address: str | None) -> bool:
    """Tell whether a tenant's people may log in from an address; those of no tenant, operators, from anywhere."""
    if tenant is None or not tenant.networks:
        return True
    return within(address or "", [ip_network(network) for network in tenant.networks])


def here() -> str:
    """Return this guest's name."""
    return socket.gethostname().partition(".")[0].lower() or "panel"


def _refuse_never_banned(report: Report) -> None:
    network = _never_banned(str(report.address))
    if network:
        raise NeverBannedError(
            f"{report.address} is in {network}, which is never banned: see cluster_never_banned in the inventory"
        )


def _never_banned(address: str) -> IPv4Network | IPv6Network | None:
    """Return the network that an address must stay reachable for; None where it may be banned."""
    return next((network for network in (*_LOOPBACK, *config.site().never_banned) if within(address, [network])), None)


def _wrong_passwords(address: str) -> int:
    """Return how many have come within a day from an address, or from its IPv6 /64."""
    return WrongPassword.objects.filter(address=counted_as(address), at__gt=timezone.now() - _DAY).count()
