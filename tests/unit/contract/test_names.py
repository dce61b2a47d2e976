import pytest

from centralino.contract import names


@pytest.mark.parametrize(
    ("name", "tenant"),
    [
        ("t175-internal", 175),
        ("t175", 175),
        ("t175-", 175),
        ("t1750-internal", 1750),
        ("t0-internal", None),
        ("t0175-internal", None),
        ("t175x-internal", None),
        ("xt175-internal", None),
        ("T175-internal", None),
        ("t175\n", None),
        ("t999999999-internal", None),
        ("default", None),
        ("", None),
    ],
)
def test_a_name_belongs_to_the_tenant_of_its_prefix(name: str, tenant: int | None) -> None:
    assert names.tenant_of(name) == tenant


@pytest.mark.parametrize(
    ("channel", "tenant"),
    [
        ("PJSIP/t175-k3v9d0aa11bb-0000002a", 175),
        ("Local/101@t175-internal-00000001;1", None),
        ("Message/ast_msg_queue", None),
        ("t175-internal", None),
    ],
)
def test_only_a_pjsip_channel_tells_its_tenant(channel: str, tenant: int | None) -> None:
    assert names.tenant_of_channel(channel) == tenant


def test_new_names_and_secrets_are_random_and_long_enough() -> None:
    made = {names.new_endpoint_name(175) for _ in range(200)}
    assert len(made) == 200
    assert all(names.tenant_of(name) == 175 for name in made)
    assert len(names.new_sip_secret()) >= 20
    assert names.new_sip_secret() != names.new_sip_secret()
