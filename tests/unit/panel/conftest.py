# ruff: noqa: ARG001, E501 - fixtures are asked for by their names

from collections.abc import Iterator

import pytest

from tests.unit.panel import environment

# isort: split
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client

from centralino.panel.models import User
from centralino.panel.services import tenants, users
from tests.unit.panel.samples import PASSWORD, tenant_file


@pytest.fixture(scope="session")
def database() -> Iterator[None]:
    """Run the tests' PostgreSQL."""
    environment.start_database()
    yield
    connection.close()


@pytest.fixture
def empty(database: None) -> None:
    """Begin with empty tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE panel_tenant, panel_user, panel_publication, panel_signingkey, panel_checksyncrequest, panel_ban, panel_wrongpassword, django_session, axes_accessattempt CASCADE"
        )


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Hash ``PASSWORD`` once: hashing is slow on purpose."""
    return make_password(PASSWORD)


@pytest.fixture
def two_tenants(empty: None, password_hash: str) -> None:
    """Import tenants 175 and 176, each with an administrator and a user, and an operator; all have ``PASSWORD``."""
    for tenant in (175, 176):
        tenants.import_tenant(tenant_file(tenant), source="test")
    users.make_operator("operator")
    User.objects.update(password=password_hash)


@pytest.fixture
def client() -> Client:
    """Return a browser without a page, over HTTPS as nginx forwards it."""
    return Client(headers={"Host": "panel.test", "X-Forwarded-Proto": "https", "X-Real-IP": "198.51.100.7"})
