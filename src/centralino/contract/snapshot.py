"""The snapshot: everything that one PBX must know, published by the panel and rendered by the agent."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from centralino.contract.fields import (
    EndpointName,
    ExtensionNumber,
    GuestName,
    PersonName,
    SipSecret,
    TenantId,
    Transport,
)
from centralino.contract.model import Model
from centralino.contract.names import tenant_of


class Device(Model):
    """One SIP account of an extension; Asterisk calls it an endpoint."""

    endpoint: EndpointName
    secret: SipSecret
    transport: Transport = "tls"


class Extension(Model):
    """A number inside a tenant with the devices that ring for it."""

    number: ExtensionNumber
    name: PersonName
    devices: Annotated[tuple[Device, ...], Field(max_length=10)] = ()


class Tenant(Model):
    """A customer company with its extensions; numbers are unique, endpoints carry the tenant's prefix."""

    id: TenantId
    name: PersonName
    extensions: tuple[Extension, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        numbers = [extension.number for extension in self.extensions]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"tenant {self.id}: an extension number appears twice")
        for extension in self.extensions:
            for device in extension.devices:
                if tenant_of(device.endpoint) != self.id:
                    raise ValueError(f"tenant {self.id}: endpoint {device.endpoint} belongs to another tenant")
        return self


class Snapshot(Model):
    """The configuration of one PBX. ``format`` rises when an older agent could misread the rest."""

    format: Literal[1] = 1
    pbx: GuestName
    tenants: tuple[Tenant, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = [tenant.id for tenant in self.tenants]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.pbx}: a tenant appears twice")
        endpoints = [d.endpoint for t in self.tenants for e in t.extensions for d in e.devices]
        if len(set(endpoints)) != len(endpoints):
            raise ValueError(f"{self.pbx}: an endpoint appears twice")
        return self

    def document(self) -> bytes:
        """Return the canonical JSON: what is stored, sent and hashed."""
        return self.model_dump_json().encode()

    @property
    def etag(self) -> str:
        """The entity tag (RFC 9110 §8.8.3, without quotes): 16 hexadecimal digits of the document's SHA-256."""
        return hashlib.sha256(self.document()).hexdigest()[:16]


def publication_tag(etag: str, number: int | None) -> str:
    """Return a publication's entity tag: its snapshot's, and behind that a number where one before has the same.

    So an agent that has handled that one does so again: ``0123456789abcdef``, ``0123456789abcdef.57``.
    """
    return etag if number is None else f"{etag}.{number}"


def etag_in(tag: str) -> str:
    """Return the snapshot's entity tag in a publication's."""
    return tag.partition(".")[0]
