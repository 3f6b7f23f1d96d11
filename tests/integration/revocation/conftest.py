"""A real broker with an authority of its own, and a gateway of a tenant with its certificate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from tds.fleet.models import Gateway, Tenant
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.revocation import signing
from tests import seeding
from tests.certified import Unit
from tests.revoking import provision
from tests.running import RunningBroker, running_broker


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path_factory.mktemp("ca"))
    folder.init(timezone.now())
    return folder


@pytest.fixture(scope="module")
def device(authorities: AuthorityFolder) -> Authority:
    return authorities.device()


@pytest.fixture(scope="module")
def broker(authorities: AuthorityFolder) -> Iterator[RunningBroker]:
    with running_broker(authorities=authorities) as running_one:
        yield running_one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the second that the worker leaves between two lists, but where a test says so."""
    monkeypatch.setattr(signing, "SIGNED_EVERY_S", 0.05)
    monkeypatch.setattr(signing, "WAIT_S", 0.1)  # the end of a test waits for it


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(acme: Tenant) -> Gateway:
    return seeding.gateway(acme, "GW-1")


@pytest.fixture
def unit(tmp_path: Path, device: Authority, gateway: Gateway, broker: RunningBroker) -> Unit:
    return provision(tmp_path, device, gateway, broker)
