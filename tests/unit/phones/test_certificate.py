"""Which phone a certificate names, in the forms that vendors use."""

import pytest

from centralino.phones.certificate import mac_in

MAC = "001122aabbcc"


@pytest.mark.parametrize(
    "subject",
    [
        "CN=001122aabbcc",
        "CN=001122AABBCC,O=Polycom Inc.,C=US",
        "O=Yealink,CN=00:11:22:AA:BB:CC",
        "CN=00-11-22-aa-bb-cc",
        "cn=001122AABBCC",
        "CN=Phone-SEP001122AABBCC",
        "CN=CP-7841-SEP001122AABBCC,OU=CTG,O=Cisco Systems Inc.",
        "CN=SEP001122AABBCC",
        r"CN=SPA504G\, MAC: 001122AABBCC\, Serial: 88012BA01234,O=Cisco",
        r"CN=SPA504G\2C MAC: 00:11:22:AA:BB:CC",
        "ST=001122aabbcc,L=88012BA01234,OU=SPA-962",
        "OU=CP-8841-3PCC, L=88012BA01234, S=001122aabbcc",
        "OU=SPA-962+ST=001122aabbcc",
        "CN=001122aabbcc,ST=00:11:22:AA:BB:CC",
    ],
)
def test_a_phones_own_certificate(subject: str) -> None:
    assert mac_in(subject) == MAC


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "CN=",
        "CN=web01",
        "ST=ciscogeneric,L=ciscogeneric,OU=cisco.com",
        "L=88012BA01234,OU=SPA-962",
        "CN=SPA504G,serialNumber=001122AABBCC",
        "CN=000000000000",
        "CN=001122AABBC",
        "CN=001122AABBCCD",
        "CN=x001122AABBCC",
        "CN=00:1122AABBCC",
        "CN=00:11-22:AA-BB:CC",
        r"CN=Serial: 88012BA01234\, x",
        "CN=001122aabbcc,CN=001122aabbdd",
        "CN=001122aabbcc,ST=001122aabbdd",
        r"O=x\,CN=001122AABBCC",
        r"O=\"CN=001122AABBCC\"",
        "CN=\u0660\u0661\u0662\u0663\u0664\u0665aabbcc",
    ],
)
def test_one_that_names_no_phone_or_several(subject: str) -> None:
    assert mac_in(subject) is None
