"""The import: a file is the whole truth of its tenant, and taking it twice changes nothing."""

# ruff: noqa: S608 - statements read best on one line

import re
import time
from typing import Any

import pytest
from django.db import IntegrityError, connection

from centralino.contract.names import tenant_of
from centralino.contract.tenant_file import TenantFileError
from centralino.panel.models import Device, Extension, Tenant, User
from centralino.panel.services import tenant_files, tenants
from centralino.panel.services.errors import ServiceError
from tests.unit.panel.samples import many_extensions, tenant_data, tenant_file


def devices() -> dict[tuple[str, str], tuple[str, str, str]]:
    return {
        (d.extension.number, d.name): (d.endpoint, d.secret, d.transport)
        for d in Device.objects.select_related("extension")
    }


@pytest.mark.usefixtures("empty")
def test_a_new_tenant_gets_random_endpoints_and_secrets() -> None:
    report = tenants.import_tenant(tenant_file(), source="test")
    assert report.outcome == "created"
    found = devices()
    assert set(found) == {("101", "desk"), ("101", "soft"), ("102", "desk")}
    assert all(tenant_of(endpoint) == 175 for endpoint, _, _ in found.values())
    assert len({secret for _, secret, _ in found.values()}) == 3
    assert found["101", "soft"][2] == "udp"
    assert not User.objects.get(login="anna@175.example").has_usable_password()


@pytest.mark.usefixtures("empty")
def test_the_same_file_again_changes_nothing() -> None:
    tenants.import_tenant(tenant_file(), source="test")
    before = devices()
    report = tenants.import_tenant(tenant_file(), source="test")
    assert (report.outcome, report.changes) == ("unchanged", ())
    assert devices() == before


@pytest.mark.usefixtures("empty")
def test_each_change_is_made_and_told_and_what_stays_keeps_its_secrets() -> None:
    tenants.import_tenant(tenant_file(), source="test")
    before = devices()
    data = tenant_data(name="Other", pbx="pbx02", administrators=["anna@175.example"])
    data["extensions"] = [
        {"number": "101", "name": "Anna Rossi", "devices": [{"name": "soft", "transport": "tls"}, {"name": "car"}]},
        {"number": "103", "name": "Carla", "login": "carla@175.example"},
    ]
    report = tenants.import_tenant(tenant_file(**data), source="test")
    assert report.outcome == "changed"
    assert report.changes == (
        "~ tenant: Company 175 on pbx01 → Other on pbx02",
        "~ extension 101: Anna of 175 → Anna Rossi",
        "+ extension 103 (Carla)",
        "~ device soft of 101: udp → tls",
        "+ device car of 101",
        "- device desk of 101",
        "~ login anna@175.example: now administrator",
        "+ login carla@175.example (user of 103)",
        "- login admin@175.example",
        "- extension 102 (Bruno of 175)",
    )
    after = devices()
    assert set(after) == {("101", "soft"), ("101", "car")}
    assert after["101", "soft"][:2] == before["101", "soft"][:2]
    assert tenants.import_tenant(tenant_file(**data), source="test").outcome == "unchanged"


@pytest.mark.usefixtures("empty")
def test_a_dry_run_tells_and_changes_nothing() -> None:
    report = tenants.import_tenant(tenant_file(), source="test", dry_run=True)
    assert report.outcome == "created"
    assert len(report.changes) == 8
    assert not Tenant.objects.exists()


@pytest.mark.usefixtures("empty")
def test_two_people_may_swap_their_extensions() -> None:
    data = tenant_data()
    data["extensions"][1]["login"] = "bruno@175.example"
    tenants.import_tenant(tenant_file(**data), source="test")
    data["extensions"][0]["login"], data["extensions"][1]["login"] = "bruno@175.example", "anna@175.example"
    tenants.import_tenant(tenant_file(**data), source="test")
    assert dict(User.objects.exclude(extension=None).values_list("login", "extension__number")) == {
        "bruno@175.example": "101",
        "anna@175.example": "102",
    }


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pbx": "pbx99"}, "f.yml: pbx: this cluster has no PBX 'pbx99': name one of its PBX (pbx01, pbx02)"),
        ({"pbx": "cti01"}, "this cluster has no PBX 'cti01'"),
        ({"administrators": ["admin@176.example"]}, "login admin@176.example is already taken outside this tenant"),
    ],
)
def test_what_the_cluster_forbids_is_one_sentence_and_changes_nothing(changes: dict[str, Any], sentence: str) -> None:
    tenants.import_tenant(tenant_file(176), source="test")
    with pytest.raises(ServiceError, match=re.escape(sentence)):
        tenants.import_tenant(tenant_file(**changes), source="f.yml")
    assert list(Tenant.objects.values_list("id", flat=True)) == [176]


@pytest.mark.usefixtures("empty")
def test_two_files_of_one_tenant_are_refused_before_one_undoes_the_other() -> None:
    tenants.import_tenant(tenant_file(), source="175.yml")
    before = devices()
    copied = tenant_file(name="Copied", extensions=[{"number": "201", "name": "Carla"}])
    with pytest.raises(ServiceError, match=r"^180\.yml: id: tenant 175 is in 175\.yml already: give"):
        tenants.import_tenants({"175.yml": tenant_file(), "180.yml": copied})
    assert devices() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"x" * 300_000, "f.yml: this file is larger than 256 KiB"),
        (b"id: 175\n  name: x\n", "f.yml: line 2: this cannot be read as YAML"),
        (
            b"a: &a [x]\nb: [*a, *a]\n",
            "f.yml: line 2: this cannot be read as YAML (an alias (*name) is not allowed here)",
        ),
        (b"id: 1\nid: 2\n", "f.yml: line 2: this cannot be read as YAML (the key 'id' appears twice)"),
        (b"id: 0175\n", "f.yml: line 1: this cannot be read as YAML (0175 means 125: write it in quotes, or without"),
        (b"id: 1\nphones: [{mac: 10:11:12:13:14:15}]\n", "f.yml: line 2: this cannot be read as YAML (10:11:12:13"),
        (b"[" * 100_000, "f.yml: this is nested too deeply"),
        (b"\xff\xfe\x00", "f.yml: this cannot be read as YAML"),
        (b"id: !!python/object/apply:os.system ['true']\n", "f.yml: line 1: this cannot be read as YAML"),
        (b"id: 2026-99-99\n", "f.yml: this cannot be read as YAML"),
        (b"? [a]\n: 1\n", "f.yml: "),
        (b"? {a: 1}\n: 1\n", "f.yml: "),
        (b"", "f.yml: this is no tenant file"),
        (b"id: 175\nid: 175\n" * 2, "appears twice"),
    ],
    ids=lambda value: value[:12].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_a_bad_file_is_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(TenantFileError) as refused:
        tenant_files.read(content, source="f.yml")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("empty")
def test_a_full_pbx_is_imported_within_seconds() -> None:
    file = tenant_file(extensions=many_extensions(1000))
    start = time.monotonic()
    tenants.import_tenant(file, source="test")
    assert Device.objects.count() == 1000
    assert tenants.import_tenant(file, source="test").outcome == "unchanged"
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("two_tenants")
def test_the_database_itself_refuses_what_must_never_be() -> None:
    stranger = Extension.objects.get(tenant_id=176, number="101")
    for statement in (
        f"UPDATE panel_user SET extension_id = {stranger.id} WHERE login = 'anna@175.example'",
        "UPDATE panel_user SET tenant_id = NULL WHERE login = 'anna@175.example'",
        "UPDATE panel_user SET role = 'operator' WHERE login = 'anna@175.example'",
        "UPDATE panel_extension SET number = '101' WHERE tenant_id = 175",
        "UPDATE panel_extension SET number = '1o1' WHERE tenant_id = 175 AND number = '101'",
        "UPDATE panel_device SET endpoint = '101'",
        "UPDATE panel_device SET secret = 'short'",
        "UPDATE panel_tenant SET id = 0 WHERE id = 175",
    ):
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(statement)
