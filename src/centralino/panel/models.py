"""What PostgreSQL holds. Only ``centralino.panel.services`` writes it; what must never be is a constraint here."""

# ruff: noqa: D106 - what a Meta is, Django says

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint
from django.utils import timezone

from centralino.contract.names import MAX_TENANT_ID


class Tenant(models.Model):
    """A customer company. Its number is its identity and the prefix of all its names in Asterisk."""

    id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=80)
    pbx = models.CharField(max_length=63, db_index=True)
    phone_defaults = models.JSONField(default=dict)
    """``contract.phones.PhoneDefaults``: what is set of all its phones, and of those of a model."""
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    """From where its people may log in; from anywhere where empty."""

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            CheckConstraint(condition=Q(id__gte=1, id__lte=MAX_TENANT_ID), name="tenant_id_range"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"


class Extension(models.Model):
    """A number inside a tenant: a person or a place."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="extensions")
    number = models.CharField(max_length=8)
    name = models.CharField(max_length=80)

    class Meta:
        ordering: ClassVar = ["tenant_id", "number"]
        constraints: ClassVar = [
            UniqueConstraint(fields=["tenant", "number"], name="extension_number_unique"),
            # The target of the user's composite foreign key (migration 0001): an extension with its tenant.
            UniqueConstraint(fields=["id", "tenant"], name="extension_id_tenant_unique"),
            CheckConstraint(condition=Q(number__regex=r"^[0-9]{2,8}$"), name="extension_number_digits"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


class Device(models.Model):
    """One SIP account of an extension. Endpoint and secret are random, and made once unless they are stolen."""

    extension = models.ForeignKey(Extension, on_delete=models.CASCADE, related_name="devices")
    name = models.CharField(max_length=32)
    endpoint = models.CharField(max_length=42, unique=True)
    secret = models.CharField(max_length=64)
    transport = models.CharField(max_length=3, choices=[("tls", "TLS with SRTP"), ("udp", "UDP")], default="tls")

    class Meta:
        ordering: ClassVar = ["extension_id", "name"]
        constraints: ClassVar = [
            UniqueConstraint(fields=["extension", "name"], name="device_name_unique"),
            CheckConstraint(
                condition=Q(endpoint__regex=r"^t[1-9][0-9]{0,7}-[a-z0-9]{8,32}$"), name="device_endpoint_form"
            ),
            CheckConstraint(condition=Q(secret__regex=r"^[A-Za-z0-9]{20,64}$"), name="device_secret_form"),  # noqa: S106
            CheckConstraint(condition=Q(transport__in=["tls", "udp"]), name="device_transport_known"),
        ]

    def __str__(self) -> str:
        return self.endpoint


class Phone(models.Model):
    """A desk phone that fetches its configuration from here; its folder and passwords are random."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="phones")
    mac = models.CharField(max_length=12, unique=True)
    model = models.CharField(max_length=32)
    folder = models.CharField(max_length=32, unique=True)
    settings = models.JSONField(default=dict)
    """``contract.phones.Settings``: what is set of this phone alone."""
    admin_password = models.CharField(max_length=32)
    user_password = models.CharField(max_length=32)
    armed_until = models.DateTimeField(null=True)
    """Until then the next request for its file is answered with the secrets, once."""
    handed_out = models.DateTimeField(null=True)
    handed_to = models.GenericIPAddressField(null=True)

    class Meta:
        ordering: ClassVar = ["tenant_id", "mac"]
        constraints: ClassVar = [
            CheckConstraint(condition=Q(mac__regex=r"^[0-9a-f]{12}$"), name="phone_mac_form"),
            CheckConstraint(condition=Q(folder__regex=r"^[a-z0-9]{32}$"), name="phone_folder_form"),
        ]

    def __str__(self) -> str:
        return self.mac

    @property
    def is_armed(self) -> bool:
        """Whether the next request for its file is answered with the secrets."""
        return self.armed_until is not None and self.armed_until > timezone.now()


class PhoneAccount(models.Model):
    """A device that lives on a phone, at a place among its accounts; the first is 1."""

    phone = models.ForeignKey(Phone, on_delete=models.CASCADE, related_name="accounts")
    place = models.PositiveSmallIntegerField()
    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="phone_account")

    class Meta:
        ordering: ClassVar = ["phone_id", "place"]
        constraints: ClassVar = [UniqueConstraint(fields=["phone", "place"], name="phone_account_place_unique")]

    def __str__(self) -> str:
        return f"{self.phone_id} {self.place}"


class CheckSyncRequest(models.Model):
    """A phone that its PBX is to ask to read its configuration again; gone when the agent has asked it."""

    pbx = models.CharField(max_length=63, db_index=True)
    endpoint = models.CharField(max_length=42)
    reboot = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.pbx} {self.endpoint}"


class Role(models.TextChoices):
    """What a person may do; the same words as ``contract.tokens.Role``."""

    USER = "user", "User"
    SUPERVISOR = "supervisor", "Supervisor"
    ADMINISTRATOR = "administrator", "Administrator"
    OPERATOR = "operator", "Operator"


class User(AbstractBaseUser):
    """A person who logs in. An operator belongs to no tenant and sees all; everyone else sees one tenant alone."""

    login = models.CharField(max_length=80, unique=True)
    role = models.CharField(max_length=16, choices=Role.choices)
    tenant = models.ForeignKey(Tenant, null=True, on_delete=models.CASCADE, related_name="users")
    extension = models.ForeignKey(Extension, null=True, on_delete=models.SET_NULL, related_name="users")
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "login"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = BaseUserManager["User"]()

    class Meta:
        ordering: ClassVar = ["login"]
        constraints: ClassVar = [
            CheckConstraint(condition=Q(role__in=Role.values), name="user_role_known"),
            CheckConstraint(
                condition=Q(role=Role.OPERATOR, tenant=None) | (~Q(role=Role.OPERATOR) & Q(tenant__isnull=False)),
                name="user_operator_has_no_tenant",
            ),
            CheckConstraint(condition=Q(login__regex=r"^[a-z0-9][a-z0-9._@+-]{2,79}$"), name="user_login_form"),
        ]

    @property
    def is_operator(self) -> bool:
        """Whether this person keeps the cluster and sees every tenant."""
        return self.role == Role.OPERATOR

    @property
    def administers(self) -> bool:
        """Whether this person configures: a tenant's administrator, or an operator."""
        return self.role in {Role.ADMINISTRATOR, Role.OPERATOR}


class Publication(models.Model):
    """A snapshot as it was published for a PBX; the newest of a PBX is the one in force."""

    pbx = models.CharField(max_length=63)
    etag = models.CharField(max_length=16)
    document = models.TextField()
    created = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=80)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["pbx", "-id"], name="publication_newest")]

    def __str__(self) -> str:
        return f"{self.pbx} {self.etag}"


class ApplyRecord(models.Model):
    """What an agent told about a publication (``contract.result.ApplyResult``)."""

    publication = models.ForeignKey(Publication, on_delete=models.CASCADE, related_name="results")
    outcome = models.CharField(max_length=8)
    message = models.TextField(blank=True)
    finished = models.DateTimeField()
    seconds = models.FloatField()
    received = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            CheckConstraint(condition=Q(outcome__in=["live", "refused", "reverted"]), name="apply_outcome_known"),
        ]

    def __str__(self) -> str:
        return f"{self.publication_id} {self.outcome}"


class SigningKey(models.Model):
    """An Ed25519 key pair that signs tokens from ``starts`` until ``ends``.

    The private half is kept as it is: it is worth at most an hour, and beside it lie the SIP secrets, which Asterisk
    needs in clear.
    """

    kid = models.CharField(max_length=32, unique=True)
    private = models.BinaryField(max_length=32)
    public = models.BinaryField(max_length=32)
    starts = models.DateTimeField()
    ends = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["starts"]
        constraints: ClassVar = [CheckConstraint(condition=Q(ends__gt=models.F("starts")), name="key_ends_after_start")]

    def __str__(self) -> str:
        return self.kid


class Ban(models.Model):
    """An address that every guest drops until then; it is gone when it is lifted, and soon after it has run out."""

    address = models.GenericIPAddressField(unique=True)
    part = models.CharField(max_length=16)
    guest = models.CharField(max_length=63)
    reason = models.CharField(max_length=200)
    since = models.DateTimeField()
    until = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["address"]
        constraints: ClassVar = [CheckConstraint(condition=Q(until__gt=models.F("since")), name="ban_ends_after_start")]

    def __str__(self) -> str:
        return self.address


class WrongPassword(models.Model):
    """A wrong password; it is gone after a day, or when the right one for its log-in comes from the same address."""

    address = models.GenericIPAddressField(db_index=True)
    """As ``addresses.counted_as`` says it."""
    login = models.CharField(max_length=150)
    """What was tried, whether there is such a log-in or not."""
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.address} {self.login}"
