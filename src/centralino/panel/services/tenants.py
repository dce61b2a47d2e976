"""Tenants: the import of a file, and what may be asked about them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from django.db import transaction
from django.db.models import Count, QuerySet

from centralino.contract.names import new_endpoint_name, new_sip_secret
from centralino.contract.tenant_file import TenantFile
from centralino.panel import config
from centralino.panel.models import Device, Extension, Role, Tenant, User
from centralino.panel.services import locks, phones
from centralino.panel.services.errors import ServiceError

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations


class _TenantCounts(TypedDict):
    extension_count: int
    device_count: int


class _ExtensionCounts(TypedDict):
    device_count: int


@dataclass(frozen=True)
class ImportReport:
    """What an import did: one short line a change, in the file's order."""

    tenant: int
    outcome: Literal["created", "changed", "unchanged"]
    changes: tuple[str, ...]


def import_tenant(file: TenantFile, *, source: str, dry_run: bool = False) -> ImportReport:
    """Make the database hold exactly what the file says of its tenant, and nothing else of it.

    The file is the tenant's whole truth: extensions, devices and log-ins that it no longer names are removed.
    Endpoints, secrets and passwords are kept as long as the device or the log-in is. Runs in one transaction; a second
    import of the same file is ``unchanged``. With ``dry_run`` it tells what it would do.

    Raises:
        ServiceError: the PBX is not in the configuration, or a log-in is somebody else's.

    """
    (report,) = import_tenants({source: file}, dry_run=dry_run)
    return report


def import_tenants(files: Mapping[str, TenantFile], *, dry_run: bool = False) -> list[ImportReport]:
    """Import several files (source → file) in their order, all or none; see :func:`import_tenant`.

    Raises:
        ServiceError: as :func:`import_tenant`, and where two files are of one tenant.

    """
    _check_apart(files)
    with transaction.atomic():
        locks.take(locks.Lock.CONFIGURATION)
        reports = [_import(file, source) for source, file in files.items()]
        if dry_run:
            transaction.set_rollback(True)
    return reports


def every() -> "QuerySet[WithAnnotations[Tenant, _TenantCounts]]":
    """Return all tenants with ``extension_count`` and ``device_count``."""
    return Tenant.objects.annotate(
        extension_count=Count("extensions", distinct=True), device_count=Count("extensions__devices", distinct=True)
    )


def get(tenant_id: int) -> Tenant:
    """Return a tenant.

    Raises:
        ServiceError: there is none of this number.

    """
    try:
        return Tenant.objects.get(id=tenant_id)
    except Tenant.DoesNotExist:
        raise ServiceError(f"tenant {tenant_id}: there is none: see `centralino tenant list`") from None


def visible_to(user: User, wanted: int | None = None) -> Tenant | None:
    """Return the tenant that a person may see: the own one, or for an operator the one that is asked for.

    None where an operator asks for none, where it does not exist, and where somebody asks for another's.
    """
    if user.is_operator:
        return Tenant.objects.filter(id=wanted).first() if wanted is not None else None
    return user.tenant if wanted in (None, user.tenant_id) else None


def extensions(tenant: Tenant) -> "QuerySet[WithAnnotations[Extension, _ExtensionCounts]]":
    """Return a tenant's extensions in the order of their numbers, with ``device_count``."""
    # A model's own order is lost where rows are grouped.
    return tenant.extensions.annotate(device_count=Count("devices")).order_by("number").prefetch_related("users")


def credentials(tenant_id: int) -> dict[str, list[dict[str, str]]]:
    """Return what a tenant's phones need: extension number → one ``name, endpoint, secret, transport`` a device.

    Raises:
        ServiceError: there is no such tenant.

    """
    tenant = get(tenant_id)
    return {
        extension.number: [
            {"name": d.name, "endpoint": d.endpoint, "secret": d.secret, "transport": d.transport}
            for d in extension.devices.all()
        ]
        for extension in tenant.extensions.prefetch_related("devices")
    }


def _import(file: TenantFile, source: str) -> ImportReport:
    _check(file, source)
    created = not Tenant.objects.filter(id=file.id).exists()
    changes = tuple(_carry_out(file))
    if created:
        return ImportReport(file.id, "created", changes)
    return ImportReport(file.id, "changed" if changes else "unchanged", changes)


def _check_apart(files: Mapping[str, TenantFile]) -> None:
    """Refuse two files of one tenant: each would remove what the other names, in this import and in every later one."""
    sources: dict[int, str] = {}
    for source, file in files.items():
        if file.id in sources:
            raise ServiceError(
                f"{source}: id: tenant {file.id} is in {sources[file.id]} already: "
                "give one of them another number, or leave it out"
            )
        sources[file.id] = source


def _check(file: TenantFile, source: str) -> None:
    pbxs = config.site().pbxs
    if file.pbx not in pbxs:
        known = ", ".join(pbxs) or "none yet"
        raise ServiceError(f"{source}: pbx: this cluster has no PBX {file.pbx!r}: name one of its PBX ({known})")
    foreign = User.objects.filter(login__in=file.logins).exclude(tenant_id=file.id).order_by("login").first()
    if foreign is not None:
        raise ServiceError(
            f"{source}: login {foreign.login} is already taken outside this tenant: "
            "choose another log-in for this person"
        )


def _carry_out(file: TenantFile) -> Iterator[str]:
    tenant = Tenant.objects.filter(id=file.id).first()
    networks = [str(network) for network in file.networks]
    if tenant is None:
        tenant = Tenant.objects.create(id=file.id, name=file.name, pbx=file.pbx, networks=networks)
        yield f"+ tenant {file.id} ({file.name}) on {file.pbx}"
    else:
        if (tenant.name, tenant.pbx) != (file.name, file.pbx):
            yield f"~ tenant: {tenant.name} on {tenant.pbx} → {file.name} on {file.pbx}"
        if tenant.networks != networks:
            yield f"~ networks: {_listed(tenant.networks)} → {_listed(networks)}"
        if (tenant.name, tenant.pbx, tenant.networks) != (file.name, file.pbx, networks):
            tenant.name, tenant.pbx, tenant.networks = file.name, file.pbx, networks
            tenant.save()
    # What depends comes after what it depends on, and removed extensions go last, when nobody points at them.
    yield from _extensions(tenant, file)
    yield from _devices(tenant, file)
    yield from _users(tenant, file)
    gone = tenant.extensions.exclude(number__in=[entry.number for entry in file.extensions])
    for extension in gone:
        yield f"- extension {extension.number} ({extension.name})"
    gone.delete()
    yield from _phones(tenant, file)


def _phones(tenant: Tenant, file: TenantFile) -> Iterator[str]:
    """Make the phones those of the file, where it names any; a file without the key leaves them alone.

    But for accounts whose devices are gone by now.
    """
    yield from phones.close_gaps(tenant)
    if file.phone_defaults is not None:
        yield from phones.set_defaults(tenant, file.phone_defaults)
    if file.phones is not None:
        yield from phones.replace(tenant, file.phones)


def _listed(networks: list[str]) -> str:
    return ", ".join(networks) or "any"


def _extensions(tenant: Tenant, file: TenantFile) -> Iterator[str]:
    present = {extension.number: extension for extension in tenant.extensions.all()}
    created, changed = [], []
    for entry in file.extensions:
        extension = present.get(entry.number)
        if extension is None:
            created.append(Extension(tenant=tenant, number=entry.number, name=entry.name))
            yield f"+ extension {entry.number} ({entry.name})"
        elif extension.name != entry.name:
            yield f"~ extension {entry.number}: {extension.name} → {entry.name}"
            extension.name = entry.name
            changed.append(extension)
    Extension.objects.bulk_create(created)
    Extension.objects.bulk_update(changed, ["name"], batch_size=500)


def _devices(tenant: Tenant, file: TenantFile) -> Iterator[str]:
    extension_ids = dict(tenant.extensions.values_list("number", "id"))
    present = {(device.extension_id, device.name): device for device in Device.objects.filter(extension__tenant=tenant)}
    # The devices of a removed extension go with it.
    stale = {
        key: device for key, device in present.items() if key[0] in {extension_ids[e.number] for e in file.extensions}
    }
    created, changed = [], []
    for entry in file.extensions:
        for wanted in entry.devices:
            key = (extension_ids[entry.number], wanted.name)
            device = present.get(key)
            stale.pop(key, None)
            if device is None:
                created.append(
                    Device(
                        extension_id=key[0],
                        name=wanted.name,
                        endpoint=new_endpoint_name(tenant.id),
                        secret=new_sip_secret(),
                        transport=wanted.transport,
                    )
                )
                yield f"+ device {wanted.name} of {entry.number}"
            elif device.transport != wanted.transport:
                yield f"~ device {wanted.name} of {entry.number}: {device.transport} → {wanted.transport}"
                device.transport = wanted.transport
                changed.append(device)
    numbers = {id_: number for number, id_ in extension_ids.items()}
    for (extension_id, name), _ in sorted(stale.items()):
        yield f"- device {name} of {numbers[extension_id]}"
    Device.objects.filter(id__in=[device.id for device in stale.values()]).delete()
    Device.objects.bulk_create(created)
    Device.objects.bulk_update(changed, ["transport"], batch_size=500)


def _users(tenant: Tenant, file: TenantFile) -> Iterator[str]:
    wanted: dict[str, tuple[Role, str | None]] = dict.fromkeys(file.administrators, (Role.ADMINISTRATOR, None))
    wanted |= {entry.login: (Role.USER, entry.number) for entry in file.extensions if entry.login}
    extension_ids = dict(tenant.extensions.values_list("number", "id"))
    present = {user.login: user for user in tenant.users.select_related("extension")}
    created, changed = [], []
    for login, (role, number) in wanted.items():
        user = present.get(login)
        extension_id = extension_ids[number] if number else None
        if user is None:
            user = User(login=login, role=role, tenant=tenant, extension_id=extension_id)
            user.set_unusable_password()
            created.append(user)
            yield f"+ login {login} ({role.label.lower()}{f' of {number}' if number else ''})"
        elif (user.role, user.extension_id) != (role.value, extension_id):
            yield f"~ login {login}: now {role.label.lower()}{f' of {number}' if number else ''}"
            user.role, user.extension_id = role.value, extension_id
            changed.append(user)
    for login in sorted(present.keys() - wanted.keys()):
        yield f"- login {login}"
    tenant.users.exclude(login__in=wanted).delete()
    User.objects.bulk_create(created)
    User.objects.bulk_update(changed, ["role", "extension_id"], batch_size=500)
