"""A real broker with an authority of its own, two gateways of it, and somebody who sees everything."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tds.identity.authorities.folder import AuthorityFolder
from tds.local.apart import shared_folder
from tests.connecting import A, B, Client, Credential, client, device
from tests.running import RunningBroker, running_broker


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with shared_folder("certificates") as found:
        yield found


@pytest.fixture(scope="module")
def authorities(folder: Path) -> AuthorityFolder:
    found = AuthorityFolder(folder / "ca")
    found.init(datetime.now(UTC))
    return found


@pytest.fixture(scope="module")
def broker(authorities: AuthorityFolder) -> Iterator[RunningBroker]:
    with running_broker(authorities=authorities) as running:
        yield running


@pytest.fixture(scope="module")
def a(folder: Path, authorities: AuthorityFolder) -> Credential:
    return device(folder, authorities.device(), A)


@pytest.fixture(scope="module")
def b(folder: Path, authorities: AuthorityFolder) -> Credential:
    return device(folder, authorities.device(), B)


@pytest.fixture
def everything(broker: RunningBroker) -> Iterator[Client]:
    """Sees all that anybody publishes: on a desk nobody is asked for a name on the port without TLS."""
    with client(broker.port) as found:
        found.subscribe("#")
        yield found
