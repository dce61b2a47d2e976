from typing import Any

import pytest

from centralino.contract.tenant_file import TenantFileError, parse


def tenant(**changes: Any) -> dict[str, Any]:
    data = {
        "id": 175,
        "name": "Studio Medico Rossi",
        "pbx": "pbx01",
        "administrators": ["admin@rossi.example"],
        "extensions": [
            {"number": "101", "name": "Reception", "login": "anna@rossi.example", "devices": [{"name": "desk"}]},
            {"number": "102", "name": "Surgery"},
        ],
    }
    return data | changes


def test_a_good_file_is_taken_whole() -> None:
    parsed = parse(tenant(), source="175.yml")
    assert parsed.logins == ("admin@rossi.example", "anna@rossi.example")
    assert parsed.extensions[0].devices[0].transport == "tls"


def extension(**changes: Any) -> list[dict[str, Any]]:
    return [{"number": "101", "name": "Reception"} | changes]


def phones(**changes: Any) -> list[dict[str, Any]]:
    return [{"mac": "00:15:65:AA:BB:CC", "model": "yealink-t54w", "devices": ["101/desk"]} | changes]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (tenant(colour="red"), "175.yml: colour: unknown key"),
        (tenant(extensions=extension(nubmer="101")), "175.yml: extensions.0.nubmer: unknown key"),
        (tenant(extensions=extension() * 2), "extension 101 appears twice"),
        (tenant(extensions=extension(number="1o1")), "175.yml: extensions.0.number: '1o1' is no extension number"),
        (tenant(extensions=extension(number=101)), "175.yml: extensions.0.number: 101 must be quoted"),
        (tenant(name=123), "175.yml: name: this is read as 123, which is no text: write it in quotes"),
        (tenant(administrators=[True]), "175.yml: administrators.0: this is read as True, which is no text: write it"),
        (tenant(extensions=extension(login="admin@rossi.example")), "login admin@rossi.example appears twice"),
        (
            tenant(extensions=extension(name='x"\nsecret=1')),
            "175.yml: extensions.0.name: 'x\"\\nsecret=1' is no name: write",
        ),
        (tenant(extensions=extension(login="Anna")), "extensions.0.login: 'Anna' is no log-in: write 3 to 80 small"),
        (tenant(administrators=["Anna"]), "administrators.0: 'Anna' is no log-in: write 3 to 80 small letters"),
        (tenant(extensions=extension(devices=[{"name": "Desk"}])), "devices.0.name: 'Desk' is no device's name: write"),
        (tenant(extensions=5), "175.yml: extensions: '5' is no list: begin a line with - for each entry"),
        (tenant(pbx="PBX 1"), "175.yml: pbx:"),
        (tenant(id=0), "175.yml: id:"),
        ({"name": "x"}, "175.yml: id: missing: add it"),
        (tenant(phones=phones() * 2), "phone 001565aabbcc appears twice: keep one of them"),
        (tenant(phones=phones(mac="0015")), "175.yml: phones.0.mac:"),
        (tenant(phones=[{"mac": "00:15:65:AA:BB:CC"}]), "175.yml: phones.0.model: missing: add it"),
        (tenant(phones=phones(devices=None)), "175.yml: phones.0.devices:"),
        ("x" * 300_000, "175.yml: this is no tenant file"),
        (None, "175.yml: this is no tenant file"),
    ],
)
def test_a_bad_file_is_refused_with_file_key_and_remedy(data: object, sentence: str) -> None:
    with pytest.raises(TenantFileError) as refused:
        parse(data, source="175.yml")
    assert sentence in str(refused.value)
    assert "pydantic" not in str(refused.value)
