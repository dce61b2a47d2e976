"""Snapshots for tests: one to read, and a strategy that makes any that the contract allows."""

import string

from hypothesis import strategies as st

from centralino.contract.names import tenant_prefix
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

ALPHABET = string.ascii_lowercase + string.digits


def device(endpoint: str = "t175-k3v9d0aa11bb", **changes: str) -> Device:
    return Device.model_validate({"endpoint": endpoint, "secret": "s3cr3t" * 4} | changes)


def snapshot() -> Snapshot:
    """Two tenants with the same number, one extension with two devices, one without any."""
    return Snapshot(
        pbx="pbx01",
        tenants=(
            Tenant(
                id=175,
                name="Studio Medico Rossi",
                extensions=(
                    Extension(number="102", name="Surgery", devices=(device("t175-bbbbbbbbbbb2"),)),
                    Extension(
                        number="101",
                        name="Reception",
                        devices=(device("t175-aaaaaaaaaaa1"), device("t175-aaaaaaaaaaa2", transport="udp")),
                    ),
                    Extension(number="0199", name="Door"),
                ),
            ),
            Tenant(
                id=9,
                name="Bar Sport",
                extensions=(Extension(number="101", name="Banco", devices=(device("t9-ccccccccccc1"),)),),
            ),
        ),
    )


@st.composite
def _extensions(draw: st.DrawFn, tenant: int) -> tuple[Extension, ...]:
    numbers = draw(st.lists(st.text(string.digits, min_size=2, max_size=8), max_size=5, unique=True))
    names = draw(
        st.lists(st.text(ALPHABET, min_size=8, max_size=24), min_size=len(numbers), max_size=12, unique=True).map(list)
    )
    made = []
    for number in numbers:
        mine = [names.pop() for _ in range(min(len(names), draw(st.integers(0, 3))))]
        made.append(
            Extension(
                number=number,
                name=draw(st.from_regex(r'\A[^\x00-\x1f\x7f"\\;<>]{1,80}\Z')),
                devices=tuple(
                    Device(
                        endpoint=tenant_prefix(tenant) + name,
                        secret=draw(st.text(string.ascii_letters + string.digits, min_size=20, max_size=64)),
                        transport=draw(st.sampled_from(["tls", "udp"])),
                    )
                    for name in mine
                ),
            )
        )
    return tuple(made)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    ids = draw(st.lists(st.integers(1, 99_999_999), max_size=3, unique=True))
    return Snapshot(
        pbx="pbx01", tenants=tuple(Tenant(id=i, name="Tenant", extensions=draw(_extensions(i))) for i in ids)
    )
