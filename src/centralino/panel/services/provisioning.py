"""Handing out phones' files: who asks by which address gets what, and the secrets once.

A phone fresh from its box knows the common address and its MAC alone, and a MAC is no secret. So that address answers
only while the phone is armed, and once; the file names the phone's own random folder, where it asks from then on. There
it finds everything but the secrets at any time, and those when it was armed again.

Where phones are asked for their vendor's certificate, it takes away and never adds: one that names another phone gets
nothing, and one that names the right phone still has to be armed.
"""

import logging
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from centralino.contract.phones import PhoneDefaults, Settings, inherited
from centralino.panel import config
from centralino.panel.models import Extension, Phone
from centralino.phones import certificate, files
from centralino.phones import phone as parts
from centralino.phones.phone import File
from centralino.phones.vendors import vendor_of

_log = logging.getLogger("centralino.panel.phones")


@dataclass(frozen=True)
class Asker:
    """Who asks for a file."""

    address: str
    """Empty where it is not known."""
    subject: str = ""
    """Of the vendor's certificate that was shown and verified (RFC 4514); empty where there is none."""


def by_mac(name: str, asker: Asker) -> File | None:
    """Return the file of an armed phone that asks by a name with its MAC in it; None where it gets nothing."""
    mac = files.mac_in(name)
    site = config.site().phones
    if site is None or mac is None:
        return None  # phones also ask for files of their whole model: nobody has them, and there is nothing to count
    phone = Phone.objects.select_related("tenant").filter(mac=mac).first()
    if phone is None:
        _refuse(asker, mac)
        return None
    if not _shows_itself(phone, site, asker):
        return None
    if not phone.is_armed:
        _not_armed(phone, asker)
        return None
    return _file(phone, site, name, asker, own_folder=False)


def by_folder(folder: str, name: str, asker: Asker) -> File | None:
    """Return a file of the phone that has this folder; None where there is none."""
    site = config.site().phones
    if site is None:
        return None
    phone = Phone.objects.select_related("tenant").filter(folder=folder).first()
    if phone is None:
        # Not counted: nobody guesses a folder, but a phone that was removed, or moved to another tenant, asks by its
        # former one at each start, and for several files: its whole office would be banned.
        _log.info("phone folder unknown: address=%s mac=%s", asker.address, files.mac_in(name) or "none")
        return None
    if not _shows_itself(phone, site, asker):
        return None
    match name:
        case files.PHONEBOOK:
            return _phonebook(phone, site)
        case files.AUTHORITY:
            authority = _authority(site)
            return File(authority.encode(), "application/x-pem-file") if authority else None
        case _:
            return _file(phone, site, name, asker, own_folder=True)


def settings_of(phone: Phone, site: config.Phones) -> Settings:
    """Return what is in force on a phone: its own settings over the model's, the tenant's and the cluster's."""
    tenant = PhoneDefaults.model_validate(phone.tenant.phone_defaults)
    everywhere, everywhere_model = site.defaults.layers(phone.model)
    there, there_model = tenant.layers(phone.model)
    return inherited((everywhere, there, everywhere_model, there_model, Settings.model_validate(phone.settings)))


def url_of(phone: Phone, site: config.Phones) -> str:
    """Return the address of a phone's own folder."""
    return f"{site.url}{phone.folder}/"


def _file(phone: Phone, site: config.Phones, name: str, asker: Asker, *, own_folder: bool) -> File | None:
    template = files.template_of(phone.model, phone.mac, name)
    if template is None:
        return None
    if phone.tenant.pbx not in site.servers:
        _log.error(
            "phone without PBX: address=%s mac=%s: tenant %s is on %s, which this cluster has not: "
            "name another in its file",
            asker.address,
            phone.mac,
            phone.tenant_id,
            phone.tenant.pbx,
        )
        return None
    if template.secret and phone.is_armed:
        file = files.render(template, _whole(phone, site))
        if _use_up(phone, asker.address):  # last, so that what cannot be rendered uses nothing up
            return file
    if template.secret and not (own_folder and vendor_of(phone.model).keeps):
        return None
    if template.secret and phone.handed_out is None:
        # It would register new accounts with the passwords that it has, and have its whole office banned.
        _not_armed(phone, asker)
        return None
    return files.render(template, files.without_secrets(_whole(phone, site)))


def _use_up(phone: Phone, address: str) -> bool:
    """Tell whether the phone is armed as it was when it was looked at, and disarm it.

    Of several requests at once one is told so; none where it has been armed anew since, for other secrets perhaps.
    """
    now = timezone.now()
    with transaction.atomic():
        used = Phone.objects.filter(id=phone.id, armed_until__gt=now, armed_until=phone.armed_until).update(
            armed_until=None, handed_out=now, handed_to=address or None
        )
    if used:
        _log.info("phone provisioned: address=%s mac=%s", address, phone.mac)
    return bool(used)


def _whole(phone: Phone, site: config.Phones) -> parts.Phone:
    """Return a phone with everything that its files may say."""
    accounts = phone.accounts.select_related("device__extension")
    return parts.Phone(
        mac=phone.mac,
        model=phone.model,
        url=url_of(phone, site),
        server=parts.Server(site.servers[phone.tenant.pbx], site.tls_port, site.udp_port),
        accounts=tuple(
            parts.Account(
                endpoint=account.device.endpoint,
                number=account.device.extension.number,
                name=account.device.extension.name,
                secret=account.device.secret,
                transport="udp" if account.device.transport == "udp" else "tls",
            )
            for account in accounts
        ),
        settings=settings_of(phone, site),
        passwords=parts.Passwords(phone.admin_password, phone.user_password),
        ca=_authority(site),
    )


def _phonebook(phone: Phone, site: config.Phones) -> File | None:
    if not settings_of(phone, site).phonebook:
        return None
    extensions = Extension.objects.filter(tenant=phone.tenant).order_by("name", "number")
    return files.phonebook(phone.model, [parts.Entry(extension.name, extension.number) for extension in extensions])


def _authority(site: config.Phones) -> str:
    """Return the authority's certificate, empty where phones need none."""
    return site.ca.read_text(encoding="ascii") if site.ca else ""


def _shows_itself(phone: Phone, site: config.Phones, asker: Asker) -> bool:
    """Tell whether the certificate, or that there is none, lets the asker be this phone."""
    if site.certificates is None:
        return True
    shown = certificate.mac_in(asker.subject)
    if shown is None:
        # A vendor's certificate that is the same in many phones says no more than none. Not counted: it is no attack.
        if site.certificates == "required":
            _log.info(
                "phone without certificate: address=%s mac=%s subject=%r", asker.address, phone.mac, asker.subject
            )
        return site.certificates == "accepted"
    if shown != phone.mac:
        _refuse(asker, phone.mac, shown)
    return shown == phone.mac


def _not_armed(phone: Phone, asker: Asker) -> None:
    """Log what does not count toward a ban: a phone that DHCP points here asks at each of its starts."""
    _log.info("phone not armed: address=%s mac=%s", asker.address, phone.mac)


def _refuse(asker: Asker, mac: str, shown: str | None = None) -> None:
    """Log what counts toward a ban; the filter of role fail2ban knows how this line begins."""
    certified = f" certificate={shown}" if shown else ""
    _log.warning("phone refused: address=%s mac=%s%s", asker.address, mac, certified)
