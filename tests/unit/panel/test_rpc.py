"""The XML-RPC API: who is let in, what each procedure answers, and what a bad call is told."""

import base64
import xmlrpc.client
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client

from centralino.contract.result import ApplyResult
from centralino.panel.models import Ban, Publication, Tenant, WrongPassword
from centralino.panel.services import bans, results
from tests.unit.panel.samples import PASSWORD, tenant_data

pytestmark = pytest.mark.usefixtures("two_tenants")

ATTACKER = "203.0.113.7"
PROGRAM = "203.0.113.80"


def basic(login: str = "operator", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def post(client: Client, body: str | bytes, **headers: str) -> Any:
    shown = {"X-Api-Client": "CN=billing", "Authorization": basic(), "X-Real-IP": PROGRAM} | headers
    return client.post("/rpc", body, content_type="text/xml", headers={k: v for k, v in shown.items() if v})


@pytest.fixture
def call(client: Client) -> Any:
    """Return a function that calls a procedure as a program does; a fault is raised."""

    def ask(method: str, *parameters: Any) -> Any:
        answer = post(client, xmlrpc.client.dumps(parameters, method))
        assert answer.status_code == 200, answer.content
        (result,), _ = xmlrpc.client.loads(answer.content, use_builtin_types=True)
        return result

    return ask


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        call(*arguments)
    return f"{caught.value.faultCode}: {caught.value.faultString}"


LIST = xmlrpc.client.dumps((), "tenant.list")


def test_without_a_verified_certificate_there_is_nothing(client: Client) -> None:
    assert post(client, LIST, **{"X-Api-Client": ""}).status_code == 404
    assert client.get("/rpc", headers={"X-Api-Client": "CN=billing"}).status_code == 405


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !",
        "Basic b3BlcmF0b3I=",
        "Bearer x",
        "Basic /////w==",
        basic("op\0erator"),
        basic(password="wrong"),
    ],
)
def test_without_a_right_password_nobody_is_let_in(client: Client, header: str) -> None:
    answer = post(client, LIST, Authorization=header)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("login", ["anna@175.example", "admin@175.example"])
def test_operators_alone_are_let_in(client: Client, login: str) -> None:
    answer = post(client, LIST, Authorization=basic(login))
    assert (answer.status_code, answer.content.decode()) == (
        403,
        f"{login} is no operator: only operators use this interface\n",
    )


def test_wrong_passwords_count_as_at_the_log_in_page(client: Client) -> None:
    for login in ("operator", "nobody", "anna@175.example", "root"):
        assert post(client, LIST, Authorization=basic(login, "wrong")).status_code == 401
    assert WrongPassword.objects.filter(address=PROGRAM).count() == 4
    assert post(client, LIST).status_code == 200
    assert WrongPassword.objects.filter(address=PROGRAM).count() == 3, "a right one takes back those of its log-in"
    for _ in range(4):
        post(client, LIST, Authorization=basic(password="wrong"))
    assert [ban.address for ban in bans.in_force()] == [PROGRAM]
    assert post(client, LIST, Authorization=basic(password="wrong")).status_code == 429
    assert post(client, LIST).status_code == 429, "the pair of address and name is locked"


def test_a_right_password_opens_the_pair_again_from_anywhere_in_the_ipv6_network(client: Client) -> None:
    for _ in range(2):
        for number in range(4):
            post(client, LIST, Authorization=basic(password="wrong"), **{"X-Real-IP": f"2001:db8::{number}"})
        assert post(client, LIST, **{"X-Real-IP": "2001:db8::a"}).status_code == 200
    assert bans.in_force() == []


def test_nothing_is_kept_of_a_call(client: Client) -> None:
    assert post(client, LIST).cookies == {}


def test_tenants_are_listed_shown_and_imported(call: Any) -> None:
    first, second = call("tenant.list")
    assert first == {"id": 175, "name": "Company 175", "pbx": "pbx01", "networks": [], "extensions": 2, "devices": 3}
    assert call("tenant.show", 176) == {key: second[key] for key in ("id", "name", "pbx", "networks")}
    file = yaml.safe_dump(tenant_data(177))
    assert call("tenant.import", file, True)["outcome"] == "created"
    assert not Tenant.objects.filter(id=177).exists(), "that was a dry run"
    report = call("tenant.import", file)
    assert (report["tenant"], report["outcome"]) == (177, "created")
    assert "+ extension 101 (Anna of 177)" in report["changes"]
    assert call("tenant.import", file) == {"tenant": 177, "outcome": "unchanged", "changes": []}


def test_extensions_are_listed_without_secrets(call: Any) -> None:
    assert call("extension.list", 175) == [
        {"number": "101", "name": "Anna of 175", "devices": 2, "logins": ["anna@175.example"]},
        {"number": "102", "name": "Bruno of 175", "devices": 1, "logins": []},
    ]


def test_what_is_stored_is_published_and_followed(call: Any) -> None:
    published = call("apply.publish")
    assert [(entry["pbx"], entry["new"]) for entry in published] == [("pbx01", True), ("pbx02", True)]
    assert call("apply.publish", ["pbx02"]) == [{**published[1], "new": False}]
    state = {"pbx": "pbx01", "state": "pending", "etag": published[0]["etag"], "message": ""}
    assert call("apply.state")[0] == state


def test_what_asterisk_is_quoted_with_is_kept_and_told_as_text(call: Any) -> None:
    (first,) = call("apply.publish", ["pbx01"])
    told = {"pbx": "pbx01", "etag": first["etag"], "outcome": "refused", "message": "a\0b\x1b[1mc"}
    results.record(ApplyResult.model_validate(told | {"finished": datetime.now(UTC), "seconds": 1}))
    assert call("apply.state")[0]["message"] == "a ⏎ b ⏎ [1mc"


def test_bans_are_added_listed_and_lifted(call: Any) -> None:
    added = call("ban.add", ATTACKER, 2, "calls at night")
    assert (added["address"], added["reason"]) == (ATTACKER, "calls at night (operator)")
    assert added["until"] - added["since"] == timedelta(hours=2)
    assert abs(added["since"] - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
    assert call("ban.list") == [added]
    assert call("ban.lift", ATTACKER) is True
    assert call("ban.lift", ATTACKER) is False
    assert call("ban.list") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("tenant.show", 999), "1: tenant 999: there is none"),
        (("tenant.show", "175"), "-32602: Invalid parameters: 0: Input should be a valid integer"),
        (("tenant.show", 0), "-32602: Invalid parameters: 0: Input should be greater than or equal to 1"),
        (("tenant.show",), "-32602: Invalid parameters: tenant: Missing required argument"),
        (("tenant.show", 175, 1), "-32602: Invalid parameters: 1: Unexpected positional argument"),
        (("tenant.import", "id: 1\nid: 2\n"), "1: content: line 2: this cannot be read as YAML (the key 'id'"),
        (("tenant.import", yaml.safe_dump(tenant_data(177, pbx="pbx09"))), "1: content: pbx: this cluster has no PBX"),
        (("tenant.import", "x" * 300_000), "1: content: this file is larger than 256 KiB"),
        (("apply.publish", ["pbx01", "pbx09"]), "1: this cluster has no PBX 'pbx09'"),
        (("ban.add", "nobody"), "1: nobody: value is not a valid IPv4 or IPv6 address"),
        (("ban.add", "192.0.2.3"), "1: 192.0.2.3 is in 192.0.2.0/28, which is never banned"),
        (("ban.add", PROGRAM), f"1: {PROGRAM} is your own address"),
        (("ban.add", ATTACKER, 10**6), "-32602: Invalid parameters: 1: Input should be less than or equal to"),
        (("ban.lift", "nobody"), "1: nobody: this is no address"),
        (("no.such",), '-32601: Method not found: "no.such"'),
        (("system.multicall", [{"methodName": "tenant.list", "params": []}]), "-32601: Method not found"),
    ],
)  # fmt: skip
def test_a_bad_call_is_told_in_a_sentence_and_changes_nothing(call: Any, arguments: Any, sentence: str) -> None:
    assert refused(call, *arguments).startswith(sentence)
    assert not Ban.objects.exists()
    assert not Publication.objects.exists()
    assert sorted(Tenant.objects.values_list("id", flat=True)) == [175, 176]


def test_what_nobody_expected_is_told_to_the_journal_alone(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("the password is 1234")

    monkeypatch.setattr(bans, "in_force", fail)
    assert refused(call, "ban.list") == "-32603: Internal error: this is a fault of the panel: its journal tells more"


def test_without_its_database_the_panel_says_so_in_a_fault(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    with monkeypatch.context() as down:
        down.setitem(connection.settings_dict, "HOST", "/nowhere")
        assert refused(call, "tenant.list") == "2: the panel's database does not answer: try again later"
    assert len(call("tenant.list")) == 2


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    "<methodCall><methodName>&b;</methodName></methodCall>"
)
PARAMETERS = (
    "<param><value><int>one</int></value></param>",
    "<param><value><dateTime.iso8601>now</dateTime.iso8601></value></param>",
    "<param><value><base64>*</base64></value></param>",
    "<param><value><struct><member></member></struct></value></param>",
    "<param><value><array></array></value></param>",
    "</array></data><param></struct>",
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"\xff\xfe\x00",
        b"<methodCall/>",
        b"<methodCall><methodName/></methodCall>",
        b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
        BOMB.encode(),
        *(LIST.replace("<params>", f"<params>{parameter}").encode() for parameter in PARAMETERS),
    ],
)
def test_a_document_that_is_no_call_is_refused(client: Client, body: bytes) -> None:
    answer = post(client, body)
    if answer.status_code == 200:
        with pytest.raises(xmlrpc.client.Fault):
            xmlrpc.client.loads(answer.content)
    else:
        assert answer.status_code == 400


def test_other_formats_are_refused(client: Client) -> None:
    headers = {"X-Api-Client": "CN=billing", "Authorization": basic(), "X-Real-IP": PROGRAM}
    json = '{"jsonrpc": "2.0", "method": "tenant.list", "id": 1}'
    assert client.post("/rpc", json, content_type="application/json", headers=headers).status_code == 400


def test_every_procedure_has_its_documentation(call: Any) -> None:
    methods = call("system.listMethods")
    ours = [method for method in methods if not method.startswith("system.")]
    assert ours == [
        "tenant.list", "tenant.show", "tenant.import", "extension.list", "apply.publish", "apply.state",
        "ban.list", "ban.add", "ban.lift",
    ]  # fmt: skip
    for method in ours:
        assert call("system.methodHelp", method), method
        assert call("system.methodSignature", method), method
