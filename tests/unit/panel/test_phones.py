"""Phones in the panel: added, armed, handed out once, told to come again; on the real database."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from centralino.contract.tenant_file import PhoneEntry
from centralino.panel import config
from centralino.panel.config import PanelConfig
from centralino.panel.models import Device, Phone, Tenant
from centralino.panel.services import phones, provisioning, publish, tenants
from centralino.panel.services.errors import ServiceError
from centralino.phones import files
from tests.unit.panel.samples import tenant_file
from tests.unit.phones.samples import MAC, yealink

OTHER_MAC = "001565aabbdd"
ADDRESS = "198.51.100.7"

pytestmark = pytest.mark.usefixtures("two_tenants")


def entry(
    mac: str = MAC, model: str = "yealink-t54w", devices: tuple[str, ...] = ("101/desk",), **settings: Any
) -> PhoneEntry:
    return PhoneEntry.model_validate({"mac": mac, "model": model, "devices": devices, "settings": settings})


def added(**values: Any) -> Phone:
    assert phones.put(175, entry(**values)) == "created"
    return phones.get(values.get("mac", MAC))


def device(number: str = "101", name: str = "desk") -> Device:
    return Device.objects.get(extension__tenant=175, extension__number=number, name=name)


def content(name: str, folder: str | None = None, subject: str = "") -> str | None:
    """Return what a phone is given, by its folder or by its MAC alone; ``subject`` is its certificate's."""
    asker = provisioning.Asker(ADDRESS, subject)
    file = provisioning.by_folder(folder, name, asker) if folder else provisioning.by_mac(name, asker)
    return file.content.decode() if file else None


@pytest.fixture
def asked_for_certificates(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that has the panel accept or require vendors' certificates."""

    def ask(how: str) -> None:
        site = PanelConfig.model_validate(
            config.load().model_dump() | {"phones": config.load().model_dump()["phones"] | {"certificates": how}}
        )
        monkeypatch.setattr(config, "site", lambda: site)

    return ask


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="centralino.panel.phones")
    return caplog


def test_a_phone_from_its_box_gets_its_secrets_once_and_its_folder() -> None:
    phone = added()
    first = content(f"{MAC}.cfg")
    assert first is not None
    found = yealink(first)
    assert found["account.1.password"] == device().secret
    assert found["account.1.user_name"] == device().endpoint
    assert found["account.1.sip_server.1.address"] == "pbx01.test"
    assert found["static.auto_provision.server.url"] == f"https://panel.test/phones/{phone.folder}/"
    assert phone.admin_password in found["static.security.user_password"]
    assert content(f"{MAC}.cfg") is None
    phone.refresh_from_db()
    assert (phone.armed_until, phone.handed_to) == (None, ADDRESS)
    assert phone.handed_out is not None


def test_its_folder_goes_on_with_everything_but_secrets() -> None:
    phone = added()
    content(f"{MAC}.cfg")
    phones.put(175, entry(keys=[{"number": "102", "label": "Bruno"}]))
    again = content(f"{MAC}.cfg", phone.folder)
    assert again is not None
    found = yealink(again)
    assert found["linekey.2.value"] == "102"
    assert "account.1.password" not in found
    assert not any(secret in again for secret in (device().secret, phone.admin_password, phone.user_password))


def test_armed_again_it_gets_them_by_either_address_once() -> None:
    phone = added()
    content(f"{MAC}.cfg")
    for folder, other in ((phone.folder, None), (None, phone.folder)):
        phones.rearm([MAC])
        assert device().secret in (content(f"{MAC}.cfg", folder) or "")
        assert device().secret not in (content(f"{MAC}.cfg", other) or "")


def test_what_was_stolen_is_worthless_and_the_phone_gets_new_secrets(client: Client) -> None:
    former = added(devices=("101/desk", "101/soft"))
    fetched = yealink(content(f"{MAC}.cfg") or "")
    stolen = [fetched[f"account.{place}.{key}"] for place in (1, 2) for key in ("user_name", "password")]
    publish.publish("pbx01", by="test")
    (phone,) = phones.rearm([MAC], stolen=True)
    for name in ("folder", "admin_password", "user_password"):
        assert getattr(phone, name) != getattr(former, name)
    assert client.get(f"/phones/{former.folder}/{MAC}.cfg").status_code == 404
    given = content(f"{MAC}.cfg", phone.folder) or ""
    found = yealink(given)
    assert (found["account.1.user_name"], found["account.1.password"]) == (device().endpoint, device().secret)
    assert phone.admin_password in given
    publication, new = publish.publish("pbx01", by="test")
    assert new
    assert not [word for word in stolen if word in publication.document + given]
    assert device().secret in publication.document
    assert device().secret != device(name="soft").secret
    assert phones.devices_of(phones.get(MAC)) == ["101/desk", "101/soft"]


def test_armed_again_without_being_stolen_nothing_is_new() -> None:
    former, account = added(), device()
    phones.rearm([MAC])
    phone = phones.get(MAC)
    assert (phone.folder, phone.admin_password) == (former.folder, former.admin_password)
    assert (device().endpoint, device().secret) == (account.endpoint, account.secret)


def test_of_several_stolen_phones_one_that_is_not_there_leaves_all_as_they_are() -> None:
    former = added()
    with pytest.raises(ServiceError):
        phones.rearm([MAC, OTHER_MAC], stolen=True)
    assert phones.get(MAC).folder == former.folder


def test_arming_ends_by_itself() -> None:
    phone = added()
    Phone.objects.update(armed_until=timezone.now() - timedelta(seconds=1))
    assert content(f"{MAC}.cfg") is None
    assert device().secret not in (content(f"{MAC}.cfg", phone.folder) or "")


def test_of_many_requests_at_once_one_gets_the_secrets() -> None:
    phone = added()
    together = threading.Barrier(8)

    def ask(number: int) -> str | None:
        together.wait(10)
        try:
            return content(f"{MAC}.cfg", phone.folder if number % 2 else None)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sum(device().secret in (answer or "") for answer in answers) == 1


def test_a_change_of_settings_does_not_open_again_what_is_fetched_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    added()
    look = phones.devices_of

    def look_while_it_fetches(phone: Phone) -> list[str]:
        assert device().secret in (content(f"{MAC}.cfg") or "")
        return look(phone)

    monkeypatch.setattr(phones, "devices_of", look_while_it_fetches)
    assert phones.put(175, entry(language="fr")) == "changed"
    assert phones.get(MAC).armed_until is None


def test_what_is_made_anew_while_a_phone_fetches_is_not_used_up_by_the_former(monkeypatch: pytest.MonkeyPatch) -> None:
    former, account = added(), device()
    render = files.render

    def render_while_it_changes(*arguments: Any) -> Any:
        file = render(*arguments)
        monkeypatch.undo()
        phones.rearm([MAC], stolen=True)
        return file

    monkeypatch.setattr(files, "render", render_while_it_changes)
    assert account.secret not in (content(f"{MAC}.cfg") or "")
    phone = phones.get(MAC)
    assert phone.folder != former.folder
    assert device().secret in (content(f"{MAC}.cfg", phone.folder) or ""), "it is armed still"


def test_a_phone_is_removed_after_an_import_that_is_at_it() -> None:
    added()

    def remove() -> Phone:
        try:
            return phones.remove(MAC)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            tenants.import_tenant(tenant_file(), source="test")
            removed = pool.submit(remove)
            with pytest.raises(TimeoutError):
                removed.result(0.5)
        assert removed.result(5).mac == MAC


@pytest.mark.parametrize("stolen", [False, True])
def test_a_phone_never_gets_accounts_without_their_secrets_that_it_has_not_fetched(
    log: pytest.LogCaptureFixture, *, stolen: bool
) -> None:
    """It would try the passwords of its former accounts, and the third wrong one bans its whole office."""
    added()
    content(f"{MAC}.cfg")
    if stolen:
        phones.rearm([MAC], stolen=True)
    else:
        phones.put(175, entry(devices=("102/desk",)))
    Phone.objects.update(armed_until=timezone.now() - timedelta(seconds=1))
    folder = phones.get(MAC).folder
    assert content(f"{MAC}.cfg", folder) is None
    assert f"phone not armed: address={ADDRESS} mac={MAC}" in log.messages
    phones.rearm([MAC])
    Phone.objects.update(armed_until=timezone.now() - timedelta(seconds=1))
    assert content(f"{MAC}.cfg", folder) is None
    phones.rearm([MAC])
    assert "account.1.password" in (content(f"{MAC}.cfg", folder) or "")
    assert "account.1.user_name" in (content(f"{MAC}.cfg", folder) or "")


def test_a_phone_of_a_pbx_that_is_gone_is_told_nothing_and_the_journal_why(log: pytest.LogCaptureFixture) -> None:
    phone = added()
    Tenant.objects.filter(id=175).update(pbx="pbx09")
    assert content(f"{MAC}.cfg") is None
    assert content(f"{MAC}.cfg", phone.folder) is None
    sentence = f"phone without PBX: address={ADDRESS} mac={MAC}: tenant 175 is on pbx09, which this cluster has not"
    assert log.messages == [f"{sentence}: name another in its file"] * 2
    assert phones.get(MAC).armed_until is not None


def test_an_unknown_phone_is_logged_in_one_line_and_a_known_one_is_not_counted(log: pytest.LogCaptureFixture) -> None:
    added()
    content(f"{MAC}.cfg")
    for name, folder in ((f"{OTHER_MAC}.cfg", None), (f"{MAC}.cfg", "f" * 32), ("x", "f" * 32)):
        assert content(name, folder) is None
    for name in (f"{MAC}.cfg", "y000000000066.cfg", "000000000000.cfg", "..", "a\nphone refused: address=192.0.2.9"):
        assert content(name) is None
    assert [(record.levelname, record.getMessage()) for record in log.records] == [
        ("INFO", f"phone provisioned: address={ADDRESS} mac={MAC}"),
        ("WARNING", f"phone refused: address={ADDRESS} mac={OTHER_MAC}"),
        ("INFO", f"phone folder unknown: address={ADDRESS} mac={MAC}"),
        ("INFO", f"phone folder unknown: address={ADDRESS} mac=none"),
        ("INFO", f"phone not armed: address={ADDRESS} mac={MAC}"),
    ]


def test_a_phone_that_was_removed_or_moved_does_not_have_its_office_banned(log: pytest.LogCaptureFixture) -> None:
    former = added().folder
    phones.remove(MAC)
    for name in (f"{MAC}.cfg", "phonebook.xml", "ca.crt"):
        assert content(name, former) is None
    phones.put(176, entry())
    assert content(f"{MAC}.cfg", former) is None
    assert "phone refused" not in log.text


@pytest.mark.parametrize("how", ["accepted", "required"])
def test_its_own_certificate_opens_no_more_than_arming_does(
    how: str, asked_for_certificates: Callable[[str], None]
) -> None:
    asked_for_certificates(how)
    phone = added()
    own = "CN=00:15:65:AA:BB:CC,O=Yealink"
    assert device().secret in (content(f"{MAC}.cfg", subject=own) or "")
    assert content(f"{MAC}.cfg", subject=own) is None
    again = content(f"{MAC}.cfg", phone.folder, own)
    assert again is not None
    assert device().secret not in again


@pytest.mark.parametrize("how", ["accepted", "required"])
def test_anothers_certificate_gets_nothing_is_counted_and_uses_nothing_up(
    how: str, asked_for_certificates: Callable[[str], None], log: pytest.LogCaptureFixture
) -> None:
    asked_for_certificates(how)
    phone = added()
    other = f"CN={OTHER_MAC}"
    for name, folder in (
        (f"{MAC}.cfg", None),
        *((name, phone.folder) for name in (f"{MAC}.cfg", "phonebook.xml", "ca.crt")),
    ):
        assert content(name, folder, other) is None
    refused = f"phone refused: address={ADDRESS} mac={MAC} certificate={OTHER_MAC}"
    assert [record.getMessage() for record in log.records] == [refused] * 4
    assert {record.levelname for record in log.records} == {"WARNING"}
    assert device().secret in (content(f"{MAC}.cfg", subject=f"CN={MAC}") or "")


@pytest.mark.parametrize("subject", ["", "CN=Generic,O=Yealink"])
def test_without_a_certificate_of_its_own_a_phone_is_served_where_none_is_required(
    subject: str, asked_for_certificates: Callable[[str], None], log: pytest.LogCaptureFixture
) -> None:
    phone = added()
    asked_for_certificates("required")
    for name, folder in ((f"{MAC}.cfg", None), (f"{MAC}.cfg", phone.folder), ("ca.crt", phone.folder)):
        assert content(name, folder, subject) is None
    said = f"phone without certificate: address={ADDRESS} mac={MAC} subject={subject!r}"
    assert [(record.levelname, record.getMessage()) for record in log.records] == [("INFO", said)] * 3
    asked_for_certificates("accepted")
    assert device().secret in (content(f"{MAC}.cfg", subject=subject) or "")


def test_where_none_is_asked_for_a_subject_says_nothing() -> None:
    added()
    assert device().secret in (content(f"{MAC}.cfg", subject=f"CN={OTHER_MAC}") or "")


def test_over_http_the_subject_is_what_nginx_says(
    client: Client, asked_for_certificates: Callable[[str], None]
) -> None:
    asked_for_certificates("required")
    added()
    for headers in ({}, {"X-Client-Subject": f"CN={OTHER_MAC}"}, {"X-Client-Name": MAC}):
        refused = client.get(f"/phones/{MAC}.cfg", headers=headers)
        assert (refused.status_code, refused.content) == (404, b"not found\n")
    given = client.get(f"/phones/{MAC}.cfg", headers={"X-Client-Subject": f"CN={MAC}"})
    assert device().secret in given.content.decode()


def test_another_vendors_name_uses_nothing_up() -> None:
    added()
    assert content(f"{MAC}.xml") is None
    assert content(f"{MAC}.boot") is None
    assert device().secret in (content(f"{MAC.upper()}.cfg") or "")


def test_a_polycom_is_led_to_its_account_and_never_given_one_without_secrets() -> None:
    phone = added(model="polycom-vvx450")
    master = content(f"{MAC}.cfg")
    assert f"https://panel.test/phones/{phone.folder}/{MAC}-account.cfg" in (master or "")
    assert device().secret in (content(f"{MAC}-account.cfg", phone.folder) or "")
    assert content(f"{MAC}-account.cfg", phone.folder) is None
    assert content(f"{MAC}.cfg", phone.folder) is not None
    assert content(f"{MAC}.cfg") is None, "the folder is no one's to learn by a MAC"


def test_directory_and_authority_lie_in_the_folder_alone() -> None:
    phone = added()
    book = content("phonebook.xml", phone.folder)
    assert book is not None
    assert book.index("Anna of 175") < book.index("Bruno of 175")
    assert "176" not in book
    assert (content("ca.crt", phone.folder) or "").startswith("-----BEGIN CERTIFICATE-----")
    assert content("phonebook.xml") is None
    assert content("ca.crt") is None
    phones.put(175, entry(phonebook=False))
    assert content("phonebook.xml", phone.folder) is None


def test_settings_are_inherited_from_cluster_tenant_model_and_phone() -> None:
    defaults = {"settings": {"language": "de", "vlan": 7}, "models": {"yealink-t54w": {"vlan": 8}}}
    tenants.import_tenant(tenant_file(175, phone_defaults=defaults), source="test")
    phone = added(language="fr")
    found = yealink(content(f"{MAC}.cfg", phone.folder) or "")
    assert found["local_time.time_zone"] == "+1"  # cluster
    assert found["static.firmware.url"] == "https://fw.test/t54w.rom"  # the cluster's, of the model
    assert found["static.network.vlan.internet_port_vid"] == "8"  # the tenant's, of the model
    assert found["lang.gui"] == "French"  # its own


def test_several_accounts_in_their_order() -> None:
    phone = added(devices=("102/desk", "101/soft"))
    found = yealink(content(f"{MAC}.cfg", phone.folder) or "")
    assert found["account.1.user_name"] == device("102").endpoint
    assert (found["account.2.user_name"], found["account.2.sip_server.1.port"]) == (
        device(name="soft").endpoint,
        "5060",
    )


def test_other_accounts_arm_it_again_and_the_same_change_nothing() -> None:
    added()
    content(f"{MAC}.cfg")
    assert phones.put(175, entry()) == "unchanged"
    assert phones.put(175, entry(vlan=9)) == "changed"
    assert phones.get(MAC).armed_until is None
    assert phones.put(175, entry(devices=("102/desk",), vlan=9)) == "changed"
    assert device("102").secret in (content(f"{MAC}.cfg") or "")


@pytest.mark.parametrize(
    ("tenant", "wrong", "sentence"),
    [
        (175, {"model": "yealink-t54"}, "'yealink-t54' is no model of a phone that is known here: perhaps yealink-t5"),
        (175, {"model": "nokia-3310"}, "`generic` fits any"),
        (175, {"devices": ("101/none",)}, "tenant 175 has no device 101/none"),
        (175, {"model": "cisco-spa502g", "devices": ("101/desk", "102/desk")}, "has 1 accounts and 2 devices"),
        (175, {"mac": OTHER_MAC}, "device 101/desk is already on phone 001565aabbcc"),
        (175, {"mac": OTHER_MAC, "devices": ("102/desk", "102/desk")}, "102/desk is already on phone 001565aabbdd"),
        (176, {}, "phone 001565aabbcc: belongs to tenant 175"),
        (177, {}, "tenant 177: there is none"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(tenant: int, wrong: dict[str, Any], sentence: str) -> None:
    before = added()
    with pytest.raises(ServiceError) as refused:
        phones.put(tenant, entry(**wrong))
    assert sentence in str(refused.value)
    assert [(phone.mac, phones.devices_of(phone)) for phone in phones.every()] == [(before.mac, ["101/desk"])]


def test_a_tenants_file_names_its_phones_or_leaves_them_alone() -> None:
    added()
    assert tenants.import_tenant(tenant_file(), source="test").outcome == "unchanged"
    named = [
        {"mac": "00:15:65:AA:BB:DD", "model": "snom-d785", "devices": ["101/desk"]},
        {"mac": MAC, "model": "yealink-t54w", "devices": ["102/desk"]},
    ]
    report = tenants.import_tenant(tenant_file(phones=named), source="test")
    assert report.changes == (f"+ phone {OTHER_MAC} (snom-d785): 101/desk", f"~ phone {MAC} (yealink-t54w): 102/desk")
    assert tenants.import_tenant(tenant_file(phones=named), source="test").outcome == "unchanged"
    report = tenants.import_tenant(tenant_file(phones=named[:1]), source="test")
    assert report.changes == (f"- phone {MAC} (yealink-t54w)",)
    assert tenants.import_tenant(tenant_file(phones=[]), source="test").changes[0].startswith(f"- phone {OTHER_MAC}")
    assert not Phone.objects.exists()


def test_two_phones_of_a_file_may_change_places() -> None:
    def named(first: str, second: str) -> Any:
        both = ((MAC, first), (OTHER_MAC, second))
        return tenant_file(phones=[{"mac": m, "model": "yealink-t54w", "devices": [d]} for m, d in both])

    tenants.import_tenant(named("101/desk", "102/desk"), source="test")
    tenants.import_tenant(named("102/desk", "101/desk"), source="test")
    assert [phones.devices_of(phones.get(mac)) for mac in (MAC, OTHER_MAC)] == [["102/desk"], ["101/desk"]]


def test_a_removed_device_leaves_the_phone_without_it() -> None:
    added(devices=("101/desk", "102/desk"))
    extensions = [{"number": "102", "name": "Bruno of 175", "devices": [{"name": "desk"}]}]
    tenants.import_tenant(tenant_file(extensions=extensions), source="test")
    assert phones.devices_of(phones.get(MAC)) == ["102/desk"]


@pytest.mark.parametrize("named", [False, True])
def test_an_account_that_moves_up_is_fetched_with_its_secret(*, named: bool) -> None:
    phone = added(devices=("101/desk", "102/desk"))
    content(f"{MAC}.cfg")
    extensions = [{"number": "102", "name": "Bruno of 175", "devices": [{"name": "desk"}]}]
    own: dict[str, Any] = {"phones": [{"mac": MAC, "model": "yealink-t54w", "devices": ["102/desk"]}]} if named else {}
    file = tenant_file(extensions=extensions, **own)
    report = tenants.import_tenant(file, source="test")
    assert report.changes[-1] == f"~ phone {MAC} (yealink-t54w): 102/desk"
    found = yealink(content(f"{MAC}.cfg", phone.folder) or "")
    assert (found["account.1.password"], found["account.2.enable"]) == (device("102").secret, "0")
    assert tenants.import_tenant(file, source="test").outcome == "unchanged"


def test_a_last_account_is_taken_away_without_new_secrets() -> None:
    phone = added(devices=("101/desk", "101/soft"))
    content(f"{MAC}.cfg")
    extensions = [{"number": "101", "name": "Anna of 175", "devices": [{"name": "desk"}]}]
    tenants.import_tenant(tenant_file(extensions=extensions), source="test")
    found = yealink(content(f"{MAC}.cfg", phone.folder) or "")
    assert found["account.2.enable"] == "0"
    assert "account.1.password" not in found


def test_no_pbx_hears_of_phones() -> None:
    publish.publish("pbx01", by="test")
    added()
    assert publish.publish("pbx01", by="test")[1] is False


def test_over_http_nothing_but_a_file_or_a_short_404(client: Client) -> None:
    phone = added()
    refused = client.get(f"/phones/{OTHER_MAC}.cfg")
    assert (refused.status_code, refused.content) == (404, b"not found\n")
    assert client.head(f"/phones/{MAC}.cfg").status_code == 405
    assert client.put(f"/phones/{phone.folder}/{MAC}-app.log", b"x").status_code == 405
    given = client.get(f"/phones/{MAC}.cfg")
    assert (given.status_code, given["Cache-Control"]) == (200, "no-store")
    assert given["Content-Type"].startswith("text/plain")
    assert device().secret in given.content.decode()
    assert "Set-Cookie" not in given
    gone = client.get(f"/phones/{MAC}.cfg")
    assert (gone.status_code, gone.content) == (404, b"not found\n"), "closed and unknown look the same"
    assert phones.get(MAC).handed_to == ADDRESS
    book = client.get(f"/phones/{phone.folder}/phonebook.xml")
    assert book["Content-Type"].startswith("text/xml")
