"""Desk phones: what may be set of one, where it is set, and what a PBX is asked to tell it."""

import functools
from collections.abc import Iterable
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from centralino.contract.fields import EndpointName, ExtensionNumber, PersonName
from centralino.contract.model import Model


def _plain_mac(value: object) -> object:
    return value.replace(":", "").replace("-", "").replace(".", "").lower() if isinstance(value, str) else value


def _not_nobodys(mac: str) -> str:
    if mac == "000000000000":
        raise ValueError("this is nobody's address: read the phone's own from its label")
    return mac


_zones = functools.cache(available_timezones)


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"{name!r} is no time zone: write one such as Europe/Rome")
    return name


MacAddress = Annotated[
    str,
    BeforeValidator(_plain_mac),
    StringConstraints(pattern=r"^[0-9a-f][02468ace][0-9a-f]{10}$"),
    AfterValidator(_not_nobodys),
]
"""Twelve small hexadecimal digits of a unicast address; colons, dashes, dots and capitals are taken off."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z0-9]+)*$", max_length=32)]
"""A vendor and its model, ``yealink-t54w``; ``centralino.phones.models`` knows which there are."""

DeviceReference = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,8}/[a-z0-9][a-z0-9-]{0,31}$")]
"""A tenant's device: the extension's number and the device's name, ``101/desk``."""

Language = Literal["de", "en", "es", "fr", "it"]
Codec = Literal["alaw", "g722", "ulaw"]
Event = Literal["registered", "incoming", "outgoing", "answered", "ended"]

Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
"""A name or an IPv4 address."""
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[!-~]*$", max_length=400)]
"""An absolute address of printable ASCII; phones put their own variables into it (``$mac``)."""


class Key(Model):
    """A key that shows what an extension does, calls it, and takes its call while it rings."""

    number: ExtensionNumber
    label: PersonName


class Settings(Model):
    """What may be set of a phone, on any layer; what a layer does not name comes from the one below."""

    ntp_servers: Annotated[tuple[Host, ...], Field(max_length=2)] = ()
    """None: those that DHCP tells (option 42)."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """An IANA name."""
    language: Language = "en"
    codecs: Annotated[tuple[Codec, ...], Field(min_length=1)] = ("g722", "alaw", "ulaw")
    """In the order of preference."""
    vlan: Annotated[int, Field(ge=0, le=4094)] = 0
    """The phone's own frames carry this tag; 0 is none."""
    keys: Annotated[tuple[Key, ...], Field(max_length=100)] = ()
    phonebook: bool = True
    """Whether the phone reads the tenant's extensions as its directory."""
    voicemail: Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,16}$|^$")] = ""
    """What the message key dials; empty leaves the key as it is."""
    action_urls: dict[Event, HttpsUrl] = Field(default_factory=dict)
    """Asked by the phone when something happens to it."""
    firmware_url: HttpsUrl | Literal[""] = ""
    """The firmware's file, or what its vendor wants instead of one (docs/phones.md)."""


class PhoneDefaults(Model):
    """Two layers: for all phones, and for those of a model."""

    settings: Settings = Settings()
    models: dict[ModelName, Settings] = Field(default_factory=dict)

    def layers(self, model: str) -> tuple[Settings, Settings]:
        """Return the layer for all phones and that of a model."""
        return self.settings, self.models.get(model, Settings())


def inherited(layers: Iterable[Settings]) -> Settings:
    """Return the settings in force: of each one, what the last layer that names it says."""
    named: dict[str, object] = {}
    for layer in layers:
        named |= {name: getattr(layer, name) for name in layer.model_fields_set}
    return Settings.model_validate(named)


class CheckSync(Model):
    """A phone that is to read its configuration again (SIP NOTIFY, event check-sync)."""

    id: int
    endpoint: EndpointName
    reboot: bool = False


class CheckSyncs(Model):
    """All that a PBX is to send, oldest first."""

    requests: tuple[CheckSync, ...] = ()
