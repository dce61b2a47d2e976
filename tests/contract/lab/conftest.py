"""A stand-in with golden templates on a shared and on a local storage."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stand_in import StandIn, make_template, standing


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with standing(tmp_path_factory.mktemp("proxmox")) as running:
        yield running


@pytest.fixture(scope="module")
def api(stand_in: StandIn) -> Any:
    client = stand_in.client()
    make_template(client)
    make_template(client, 9001, "local-lvm")
    return client
