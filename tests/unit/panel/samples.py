"""Tenants that tests import."""

from typing import Any

from centralino.contract.tenant_file import TenantFile, parse

PASSWORD = "correct horse battery 7"


def tenant_data(tenant: int = 175, **changes: Any) -> dict[str, Any]:
    """Return a tenant file's data: two extensions, three devices, an administrator and a user."""
    return {
        "id": tenant,
        "name": f"Company {tenant}",
        "pbx": "pbx01",
        "administrators": [f"admin@{tenant}.example"],
        "extensions": [
            {
                "number": "101",
                "name": f"Anna of {tenant}",
                "login": f"anna@{tenant}.example",
                "devices": [{"name": "desk"}, {"name": "soft", "transport": "udp"}],
            },
            {"number": "102", "name": f"Bruno of {tenant}", "devices": [{"name": "desk"}]},
        ],
    } | changes


def tenant_file(tenant: int = 175, **changes: Any) -> TenantFile:
    """Return a parsed tenant file."""
    return parse(tenant_data(tenant, **changes), source="test")


def many_extensions(count: int) -> list[dict[str, Any]]:
    """Return so many extensions with a device each."""
    return [{"number": f"{1000 + i}", "name": f"Person {i}", "devices": [{"name": "desk"}]} for i in range(count)]
