import pytest
from pydantic import ValidationError

from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

DEVICE = Device(endpoint="t175-k3v9d0aa11bb", secret="s" * 32)


def tenant(**changes: object) -> Tenant:
    extensions = (Extension(number="101", name="Reception", devices=(DEVICE,)),)
    return Tenant.model_validate({"id": 175, "name": "Rossi", "extensions": extensions} | changes)


def test_the_document_reads_back_and_keeps_its_etag() -> None:
    snapshot = Snapshot(pbx="pbx01", tenants=(tenant(),))
    again = Snapshot.model_validate_json(snapshot.document())
    assert again == snapshot
    assert again.etag == snapshot.etag
    assert Snapshot(pbx="pbx01").etag != snapshot.etag


@pytest.mark.parametrize("value", ["t175-k3v9d0aa11bb]\n[evil", "t176-k3v9d0aa11bb", "101"])
def test_an_endpoint_of_another_tenant_or_shape_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        tenant(extensions=[{"number": "101", "name": "x", "devices": [{"endpoint": value, "secret": "s" * 32}]}])


def test_one_endpoint_cannot_serve_two_extensions() -> None:
    second = Extension(number="102", name="Surgery", devices=(DEVICE,))
    with pytest.raises(ValidationError, match="endpoint appears twice"):
        Snapshot(pbx="pbx01", tenants=(tenant(extensions=(*tenant().extensions, second)),))
