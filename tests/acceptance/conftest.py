"""The whole platform, once for all acceptance tests."""

from collections.abc import Iterator

import pytest

from tests.started import Started, new_home


@pytest.fixture(scope="session")
def platform() -> Iterator[Started]:
    """`./tds up --no-demo`: `.ready`, `.environment`, `.tds("gateway", "add", …)`. Shared: leave it running."""
    with new_home() as started:
        started.start("--no-demo")
        yield started


@pytest.fixture
def home() -> Iterator[Started]:
    """A home of this test alone, not started yet."""
    with new_home() as started:
        yield started
