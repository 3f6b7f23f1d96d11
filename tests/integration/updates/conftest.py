"""Who has gateways, and the stage on which the conductor gives them their updates."""

from collections.abc import Iterator

import pytest

from tds.fleet.models import Tenant
from tests import seeding
from tests.rolling_out import Stage


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with seeding.own_connection() as connection:
        yield Stage(connection)
