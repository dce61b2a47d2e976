"""Settings of phones: their layers, and what is refused."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from centralino.contract.phones import MacAddress, PhoneDefaults, Settings, inherited


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def test_the_last_layer_that_names_a_setting_decides() -> None:
    cluster, tenant = settings(language="it", vlan=42, time_zone="Europe/Rome"), settings(vlan=0)
    model, phone = settings(codecs=["alaw"]), settings(language="de")
    found = inherited([cluster, tenant, model, phone])
    assert (found.language, found.vlan, found.time_zone, found.codecs) == ("de", 0, "Europe/Rome", ("alaw",))
    assert found.phonebook is True


def test_a_setting_named_with_its_default_is_named() -> None:
    assert inherited([settings(phonebook=False), settings(phonebook=True)]).phonebook is True
    assert inherited([settings(phonebook=False), settings()]).phonebook is False


def test_defaults_have_a_layer_for_all_and_one_for_the_model() -> None:
    defaults = PhoneDefaults.model_validate({"settings": {"vlan": 7}, "models": {"snom-d785": {"vlan": 8}}})
    assert inherited(defaults.layers("snom-d785")).vlan == 8
    assert inherited(defaults.layers("snom-d735")).vlan == 7


@pytest.mark.parametrize("written", ["001565AABBCC", "00:15:65:aa:bb:cc", "00-15-65-AA-BB-CC", "0015.65aa.bbcc"])
def test_a_mac_is_read_in_every_spelling(written: str) -> None:
    assert TypeAdapter(MacAddress).validate_python(written) == "001565aabbcc"


@pytest.mark.parametrize(
    "written", ["", "001565aabbc", "001565aabbccd", "g01565aabbcc", "000000000000", "01005e000001"]
)
def test_what_is_no_phones_mac_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(MacAddress).validate_python(written)


@pytest.mark.parametrize(
    "values",
    [
        {"time_zone": "Europe/Atlantis"},
        {"time_zone": "../../etc/passwd"},
        {"language": "xx"},
        {"codecs": []},
        {"codecs": ["g729"]},
        {"vlan": 4095},
        {"keys": [{"number": "1", "label": "x"}]},
        {"keys": [{"number": "101", "label": "a\nb"}]},
        {"voicemail": "*97\n"},
        {"action_urls": {"answered": "http://crm.example/"}},
        {"action_urls": {"exploded": "https://crm.example/"}},
        {"firmware_url": "https://fw.example/a b"},
        {"ntp_servers": ["a;b"]},
        {"ntp_servers": ["a", "b", "c"]},
        {"colour": "red"},
    ],
)
def test_a_wrong_setting_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**values)
