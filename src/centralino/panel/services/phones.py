"""Desk phones: which there are, what is on them, and when they may fetch their secrets."""

import difflib
import secrets
import string
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from django.db import transaction
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from centralino.contract.names import new_endpoint_name, new_sip_secret
from centralino.contract.phones import MacAddress, PhoneDefaults
from centralino.contract.tenant_file import PhoneEntry
from centralino.panel import config
from centralino.panel.models import Device, Phone, PhoneAccount, Tenant
from centralino.panel.services import locks
from centralino.panel.services.errors import ServiceError
from centralino.phones.models import MODELS

if TYPE_CHECKING:
    from django.db.models import QuerySet

Outcome = Literal["created", "changed", "unchanged"]

_ALPHABET = string.ascii_lowercase + string.digits
_FOLDER_LENGTH = 32
_PASSWORD_LENGTH = 16
"""Some menus take no more; 16 letters and digits are 82 bits."""
_MAC = TypeAdapter[str](MacAddress)


def put(tenant_id: int, entry: PhoneEntry) -> Outcome:
    """Make a phone of a tenant as the entry says; a new one is armed, and so is one that gets other accounts.

    Raises:
        ServiceError: there is no such tenant, model or device, the model has too few accounts, or phone or device
            are already somewhere else.

    """
    with transaction.atomic():
        locks.take(locks.Lock.CONFIGURATION)
        tenant = Tenant.objects.filter(id=tenant_id).first()
        if tenant is None:
            raise ServiceError(f"tenant {tenant_id}: there is none: see `centralino tenant list`")
        return _put(tenant, entry)


def remove(mac: str) -> Phone:
    """Take a phone away; its devices stay. Raises ServiceError where there is none of this address."""
    with transaction.atomic():
        locks.take(locks.Lock.CONFIGURATION)
        phone = get(mac)
        Phone.objects.filter(id=phone.id).delete()
    return phone


def replace(tenant: Tenant, entries: Sequence[PhoneEntry]) -> Iterator[str]:
    """Make a tenant's phones exactly these; yield a line a change. Runs in its caller's transaction.

    Raises:
        ServiceError: as :func:`put`.

    """
    gone = tenant.phones.exclude(mac__in=[entry.mac for entry in entries])
    for phone in gone:
        yield f"- phone {phone.mac} ({phone.model})"
    gone.delete()
    # A device that moves from one phone of the file to another is free before it is taken.
    wanted = {entry.mac: list(entry.devices) for entry in entries}
    for phone in tenant.phones.prefetch_related("accounts__device__extension"):
        if devices_of(phone) != wanted[phone.mac]:
            phone.accounts.all().delete()
    for entry in entries:
        match _put(tenant, entry):
            case "created":
                yield f"+ phone {entry.mac} ({entry.model}): {', '.join(entry.devices)}"
            case "changed":
                yield f"~ phone {entry.mac} ({entry.model}): {', '.join(entry.devices)}"


def close_gaps(tenant: Tenant) -> Iterator[str]:
    """Move accounts up to where a device is gone, and arm their phones; yield a line a phone.

    A phone has the secrets of its accounts by their places. Runs in its caller's transaction.
    """
    for phone in tenant.phones.prefetch_related("accounts__device__extension"):
        accounts = list(phone.accounts.all())
        if [account.place for account in accounts] != list(range(1, len(accounts) + 1)):
            for place, account in enumerate(accounts, 1):
                PhoneAccount.objects.filter(id=account.id).update(place=place)
            _arm_for_new_accounts(phone)
            yield f"~ phone {phone.mac} ({phone.model}): {', '.join(devices_of(phone))}"


def set_defaults(tenant: Tenant, defaults: PhoneDefaults) -> Iterator[str]:
    """Set what all phones of a tenant inherit; yield a line if that is a change."""
    for model in defaults.models:
        _check_model(model)
    wanted = defaults.model_dump(mode="json", exclude_unset=True)
    if tenant.phone_defaults != wanted:
        tenant.phone_defaults = wanted
        tenant.save(update_fields=["phone_defaults"])
        yield "~ phones' defaults"


def every(tenant_id: int | None = None) -> "QuerySet[Phone]":
    """Return all phones, or a tenant's, with their accounts."""
    found = Phone.objects.select_related("tenant").prefetch_related("accounts__device__extension")
    return found if tenant_id is None else found.filter(tenant_id=tenant_id)


def get(mac: str) -> Phone:
    """Return a phone by its MAC in any spelling. Raises ServiceError where there is none."""
    try:
        plain = _MAC.validate_python(mac)
        return every().get(mac=plain)
    except (ValidationError, Phone.DoesNotExist):
        raise ServiceError(f"phone {mac}: there is none: see `centralino phone list`") from None


def rearm(macs: Iterable[str], hours: int | None = None, *, stolen: bool = False) -> list[Phone]:
    """Let phones fetch their secrets once more, within so many hours; by default as long as new ones may.

    Where those were ``stolen``, all of them are made anew; the former ones are worthless after the next apply.

    Raises:
        ServiceError: one of them is not there; nothing is changed then.

    """
    with transaction.atomic():
        locks.take(locks.Lock.CONFIGURATION)
        found = [get(mac) for mac in macs]
        for phone in found:
            if stolen:
                _renew(phone)
            phone.armed_until = _armed_until(hours)
            phone.save(update_fields=["armed_until"])
    return found


def devices_of(phone: Phone) -> list[str]:
    """Return a phone's accounts as ``101/desk``, in their order."""
    return [f"{account.device.extension.number}/{account.device.name}" for account in phone.accounts.all()]


def _put(tenant: Tenant, entry: PhoneEntry) -> Outcome:
    _check_model(entry.model, accounts=len(entry.devices))
    phone = every().filter(mac=entry.mac).first()
    if phone is not None and phone.tenant_id != tenant.id:
        raise ServiceError(
            f"phone {entry.mac}: belongs to tenant {phone.tenant_id}: remove it there first "
            f"(`centralino phone remove {entry.mac}`)"
        )
    wanted = {"model": entry.model, "settings": entry.settings.model_dump(mode="json", exclude_unset=True)}
    if phone is None:
        phone = Phone.objects.create(
            tenant=tenant,
            mac=entry.mac,
            **_new_secrets(),
            armed_until=_armed_until(),
            **wanted,
        )
        _set_accounts(phone, tenant, entry.devices)
        return "created"
    other_accounts = devices_of(phone) != list(entry.devices)
    if not other_accounts and all(getattr(phone, name) == value for name, value in wanted.items()):
        return "unchanged"
    phone.model, phone.settings = entry.model, wanted["settings"]
    phone.save(update_fields=list(wanted))
    if other_accounts:
        _set_accounts(phone, tenant, entry.devices)
        # Alone here: a phone that fetches its secrets meanwhile would be armed again by what was read before.
        _arm_for_new_accounts(phone)
    return "changed"


def _arm_for_new_accounts(phone: Phone) -> None:
    phone.armed_until = _armed_until()
    phone.save(update_fields=["armed_until", *_forget_fetched(phone)])


def _forget_fetched(phone: Phone) -> tuple[str, str]:
    """Note that nobody has fetched the secrets that a phone has now; return the fields to save."""
    phone.handed_out = phone.handed_to = None
    return "handed_out", "handed_to"


def _new_secrets() -> dict[str, str]:
    return {
        "folder": _random(_FOLDER_LENGTH),
        "admin_password": _random(_PASSWORD_LENGTH),
        "user_password": _random(_PASSWORD_LENGTH),
    }


def _renew(phone: Phone) -> None:
    """Make a phone's folder and passwords anew, and its devices' names in Asterisk and secrets."""
    secrets_ = _new_secrets()
    for name, value in secrets_.items():
        setattr(phone, name, value)
    phone.save(update_fields=[*secrets_, *_forget_fetched(phone)])
    for account in phone.accounts.all():
        # A registration outlives its password, and calls go on arriving there; it does not outlive its endpoint.
        account.device.endpoint = new_endpoint_name(phone.tenant_id)
        account.device.secret = new_sip_secret()
        account.device.save(update_fields=["endpoint", "secret"])


def _set_accounts(phone: Phone, tenant: Tenant, references: Sequence[str]) -> None:
    phone.accounts.all().delete()
    for place, reference in enumerate(references, 1):
        number, _, name = reference.partition("/")
        device = Device.objects.filter(extension__tenant=tenant, extension__number=number, name=name).first()
        if device is None:
            raise ServiceError(
                f"phone {phone.mac}: tenant {tenant.id} has no device {reference}: "
                "name it among that extension's devices in the tenant's file and import that first"
            )
        taken = PhoneAccount.objects.filter(device=device).select_related("phone").first()
        if taken is not None:
            raise ServiceError(
                f"phone {phone.mac}: device {reference} is already on phone {taken.phone.mac}: "
                "give the extension another device, or remove that phone"
            )
        PhoneAccount.objects.create(phone=phone, place=place, device=device)


def _check_model(name: str, *, accounts: int = 0) -> None:
    model = MODELS.get(name)
    if model is None:
        near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.7)
        remedy = f"perhaps {' or '.join(near)}" if near else "docs/phones.md lists them, and `generic` fits any"
        raise ServiceError(f"{name!r} is no model of a phone that is known here: {remedy}")
    if accounts > model.accounts:
        raise ServiceError(f"{name} has {model.accounts} accounts and {accounts} devices are to live on it: name fewer")


def _armed_until(hours: int | None = None) -> datetime:
    site = config.site().phones
    if hours is None:
        hours = site.armed_hours if site else 24
    return timezone.now() + timedelta(hours=hours)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
