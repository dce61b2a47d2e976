"""A tenant as a YAML file (``inventories/<cluster>/tenants/175.yml``), parsed from plain data.

Reading the YAML is the caller's; :func:`parse` takes what the file holds and answers with a model or with sentences
that name the key and the remedy. Secrets and endpoint names are never in the file: the panel makes them at the import.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from centralino.contract.fields import ExtensionNumber, GuestName, Networks, PersonName, TenantId, Transport
from centralino.contract.model import Model
from centralino.contract.phones import DeviceReference, MacAddress, ModelName, PhoneDefaults, Settings

MAX_BYTES = 262_144
"""A larger file is refused before it is parsed."""

Login = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@+-]{2,79}$")]
DeviceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class TenantFileError(Exception):
    """The file cannot be taken; the text tells where and what to do, one sentence a finding."""


class DeviceEntry(Model):
    """One phone of an extension, named within it."""

    name: DeviceName
    transport: Transport = "tls"


class ExtensionEntry(Model):
    """A number, its person or place, the phones that ring for it and, where it has one, its panel log-in."""

    number: ExtensionNumber
    name: PersonName
    login: Login | None = None
    devices: Annotated[tuple[DeviceEntry, ...], Field(max_length=10)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [device.name for device in self.devices]
        if len(set(names)) != len(names):
            raise ValueError("a device name appears twice: give each device of an extension a name of its own")
        return self


class PhoneEntry(Model):
    """A desk phone with the devices that live on it, its first account first."""

    mac: MacAddress
    model: ModelName
    devices: Annotated[tuple[DeviceReference, ...], Field(min_length=1, max_length=20)]
    settings: Settings = Settings()


class TenantFile(Model):
    """The whole file. Without ``phones`` the tenant's phones stay as they are; with it they are what the file says."""

    id: TenantId
    name: PersonName
    pbx: GuestName
    networks: Networks = ()
    """From where its people may log in; from anywhere where empty."""
    administrators: Annotated[tuple[Login, ...], Field(max_length=100)] = ()
    extensions: Annotated[tuple[ExtensionEntry, ...], Field(max_length=1000)] = ()
    phone_defaults: PhoneDefaults | None = None
    phones: Annotated[tuple[PhoneEntry, ...], Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        numbers = [extension.number for extension in self.extensions]
        for number in sorted({n for n in numbers if numbers.count(n) > 1}):
            raise ValueError(f"extension {number} appears twice: keep one of them")
        logins = [*self.administrators, *(e.login for e in self.extensions if e.login)]
        for login in sorted({n for n in logins if logins.count(n) > 1}):
            raise ValueError(f"login {login} appears twice: a login belongs to one person")
        macs = [phone.mac for phone in self.phones or ()]
        for mac in sorted({m for m in macs if macs.count(m) > 1}):
            raise ValueError(f"phone {mac} appears twice: keep one of them")
        return self

    @property
    def logins(self) -> tuple[str, ...]:
        """All log-ins that the file names, administrators first."""
        return (*self.administrators, *(e.login for e in self.extensions if e.login))


def parse(data: object, *, source: str) -> TenantFile:
    """Return the tenant that ``data`` (the parsed YAML of the file ``source``) describes.

    Raises:
        TenantFileError: with one sentence a finding, each beginning with file and key.

    """
    if not isinstance(data, dict):
        raise TenantFileError(f"{source}: this is no tenant file: it must hold the keys id, name, pbx and extensions")
    try:
        return TenantFile.model_validate(data)
    except ValidationError as error:
        raise TenantFileError("\n".join(_sentences(error, source))) from None


LOGIN_FORM = "write 3 to 80 small letters, digits and . _ @ + -, a letter or digit first"
"""What to do about a text that is no :data:`Login`."""
_A_LOGIN = f"log-in: {LOGIN_FORM}"
_FORMS = {
    "administrators": _A_LOGIN,
    "device": "device's name: write small letters, digits and -",
    "devices": "device: write an extension's number and its device's name, such as 101/desk",
    "label": 'label: write text without control characters and " \\ ; < >',
    "login": _A_LOGIN,
    "mac": "phone's address: write the one on its label, such as 00:15:65:aa:bb:cc, quoted",
    "name": 'name: write text without control characters and " \\ ; < >',
    "number": "extension number: write 2 to 8 digits, quoted",
}
"""What a text should have been that does not have its form, by its key."""


def _form(place: Sequence[int | str]) -> str | None:
    words = [part for part in place if isinstance(part, str)]
    return _FORMS.get("device" if words[-2:] == ["devices", "name"] else words[-1])


def _sentences(error: ValidationError, source: str) -> Sequence[str]:
    known = "keys are spelt as in docs/operations/tenant-file.md"
    sentences = []
    for finding in error.errors()[:20]:
        key = ".".join(str(part) for part in finding["loc"]) or "the file"
        match finding["type"]:
            case "extra_forbidden":
                text = f"unknown key: remove it or correct its spelling ({known})"
            case "missing":
                text = "missing: add it"
            case "value_error":
                text = str(finding["ctx"]["error"])
            case "string_pattern_mismatch" if form := _form(finding["loc"]):
                text = f"{str(finding['input'])[:60]!r} is no {form}"
            case "string_type" if key.endswith("number"):
                text = f"{finding['input']!r} must be quoted, so that leading zeros stay"
            case "string_type":
                # YAML reads digits and colons, and yes, no, on and off, as something else: what was written is gone.
                text = f"this is read as {str(finding['input'])[:60]}, which is no text: write it in quotes"
            case "ip_any_network":
                text = f"{finding['input']!r} is no network: write 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32"
            case "tuple_type":
                text = f"{str(finding['input'])[:60]!r} is no list: begin a line with - for each entry"
            case _:
                text = f"{finding['msg']} (found {str(finding['input'])[:60]!r})"
        sentences.append(f"{source}: {key}: {text}")
    return sentences
