"""``centralino phone …``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.table import Table

from centralino.contract.tenant_file import PhoneEntry
from centralino.panel import config
from centralino.panel.cli.output import changed, fail, out, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from centralino.panel.models import Phone

app = typer.Typer(help="Desk phones: which there are, and when they may fetch their secrets.", no_args_is_help=True)

Macs = Annotated[list[str], typer.Argument(metavar="MAC…", help="The phones' MAC addresses, in any spelling.")]
Mac = Annotated[str, typer.Argument(metavar="MAC", help="The phone's MAC address, in any spelling.")]
TenantId = Annotated[int, typer.Argument(metavar="TENANT", help="The tenant's number.")]


@app.command()
def add(
    tenant_id: TenantId,
    mac: Mac,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Vendor and model, such as yealink-t54w, or generic.")],
    devices: Annotated[
        list[str], typer.Argument(metavar="DEVICE…", help="What lives on it, as 101/desk; its first account first.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of this phone alone; may be repeated."),
    ] = None,
) -> None:
    """Add a phone, or change one; a new one, and one that gets other accounts, may fetch its secrets once."""
    from centralino.panel.services import phones  # noqa: PLC0415 - models need Django set up

    try:
        entry = PhoneEntry.model_validate(
            {
                "mac": mac,
                "model": model,
                "devices": devices,
                "settings": dict(_setting(text) for text in settings or ()),
            }
        )
    except ValidationError as error:
        fail(_sentence(error))
    with sentences():
        _provisioning()
        outcome = phones.put(tenant_id, entry)
        phone = phones.get(entry.mac)
    out.print(f"phone {phone.mac}: {outcome}; {_secrets(phone)}")
    changed(outcome != "unchanged")


@app.command()
def remove(mac: Mac) -> None:
    """Take a phone away: its file is gone; its devices stay, with their secrets."""
    from centralino.panel.services import phones  # noqa: PLC0415

    with sentences():
        phone = phones.remove(mac)
    out.print(f"phone {phone.mac}: removed")
    changed(True)


@app.command("list")
def list_(
    tenant_id: Annotated[int | None, typer.Argument(metavar="[TENANT]", help="Only this tenant's.")] = None,
) -> None:
    """List the phones, what is on them, until when they may fetch their secrets, and who fetched them last."""
    from centralino.panel.services import phones  # noqa: PLC0415

    table = Table(
        "phone", "model", "tenant", "devices", "open until (UTC)", "fetched (UTC)", "by", box=None, pad_edge=False
    )
    with sentences():
        for phone in phones.every(tenant_id):
            devices = ", ".join(phones.devices_of(phone))
            times = (_time(phone.armed_until) if phone.is_armed else "", _time(phone.handed_out))
            table.add_row(phone.mac, phone.model, str(phone.tenant_id), devices, *times, phone.handed_to or "")
    out.print(table)


@app.command()
def show(mac: Mac) -> None:
    """Show a phone with its folder and passwords. Handle it as what it is: secrets."""
    from centralino.panel.services import phones, provisioning  # noqa: PLC0415

    with sentences():
        site = _provisioning()
        phone = phones.get(mac)
        told = {
            "phone": phone.mac,
            "model": phone.model,
            "tenant": phone.tenant_id,
            "devices": phones.devices_of(phone),
            "secrets": _secrets(phone),
            "folder": provisioning.url_of(phone, site),
            "admin password": phone.admin_password,
            "user password": phone.user_password,
            "settings": provisioning.settings_of(phone, site).model_dump(mode="json"),
        }
    out.print(yaml.safe_dump(told, sort_keys=False, allow_unicode=True).rstrip())


@app.command()
def rearm(
    macs: Macs,
    hours: Annotated[
        int | None, typer.Option("--hours", min=1, max=720, help="How long; by default as long as a new one may.")
    ] = None,
    stolen: Annotated[
        bool,
        typer.Option("--stolen", help="Somebody else has the secrets: make new ones, for folder, menu and accounts."),
    ] = False,
) -> None:
    """Let phones fetch their secrets once more, after a factory reset; with --stolen, new ones."""
    from centralino.panel.services import phones  # noqa: PLC0415

    with sentences():
        armed = phones.rearm(macs, hours, stolen=stolen)
    for phone in armed:
        out.print(f"phone {phone.mac}: {_secrets(phone)}")
    if stolen:
        out.print("their former accounts go on until the next apply: run `centralino apply` now")
    changed(True)


@app.command()
def reprovision(
    macs: Annotated[list[str] | None, typer.Argument(metavar="[MAC…]", help="These phones.")] = None,
    tenant_id: Annotated[int | None, typer.Option("--tenant", metavar="ID", help="All phones of a tenant.")] = None,
    reboot: Annotated[bool, typer.Option("--reboot", help="Make them start again.")] = False,
) -> None:
    """Have phones read their configuration again: their PBX sends them a NOTIFY (check-sync)."""
    from centralino.panel.services import check_sync, phones  # noqa: PLC0415

    if bool(macs) == (tenant_id is not None):
        fail("name phones by their MAC, or a whole tenant with --tenant")
    with sentences():
        found: Sequence[Phone] = (
            list(phones.every(tenant_id)) if tenant_id is not None else [*map(phones.get, macs or ())]
        )
        asked = check_sync.request(found, reboot=reboot)
    for phone in found:
        out.print(
            f"phone {phone.mac}: {'asked' if phone in asked else 'has no account: nothing to ask it by'}", markup=False
        )
    changed(bool(asked))


def _provisioning() -> config.Phones:
    """Return where phones are provisioned; a cluster without that cannot have any."""
    site = config.site().phones
    if site is None:
        fail("this cluster provisions no phones: set panel_phones_url in the inventory and run the role panel")
    return site


def _secrets(phone: "Phone") -> str:
    """Say how it stands with a phone's secrets."""
    if phone.is_armed:
        return f"its secrets may be fetched once until {_time(phone.armed_until)} UTC"
    if phone.handed_out is not None:
        return f"its secrets were fetched on {_time(phone.handed_out)} UTC by {phone.handed_to or 'an unknown address'}"
    return "its secrets were never fetched, and are closed: rearm it"


def _time(moment: "datetime | None") -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def _setting(text: str) -> tuple[str, Any]:
    name, between, value = text.partition("=")
    if not between:
        fail(f"--set {text}: write NAME=VALUE, such as language=it or 'codecs=[alaw, g722]'")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        fail(f"--set {text}: the value cannot be read: write a word, a number or a list in brackets")


def _sentence(error: ValidationError) -> str:
    """Return what is wrong with the arguments."""
    finding = error.errors()[0]
    where = ".".join(str(part) for part in finding["loc"])
    return f"{where}: {finding['msg']} (found {str(finding['input'])[:60]!r}): docs/phones.md names what there is"
