"""The programs, and a platform's authorities with a box of units."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes import Maker
from tests.devices import built
from tests.running import RunningBroker, running_broker


@pytest.fixture(scope="session")
def programs() -> Path:
    """As users run them."""
    return built("host")


@pytest.fixture(scope="session")
def guarded() -> Path:
    """They end at the first fault of memory, and with a code that is not 0 when something leaked."""
    return built("sanitize")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker.new(tmp_path_factory.mktemp("platform"))


@pytest.fixture
def tls_broker(maker: Maker) -> Iterator[RunningBroker]:
    """A real mosquitto that lets in whoever has a certificate of `maker`; and without one, who is on this machine."""
    with running_broker(authorities=maker.authorities) as running:
        yield running
