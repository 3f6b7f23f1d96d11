"""The dashboard in a real browser, on the whole platform: what is published is seen."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import assert_accessible, assert_fits, chromium, opened, person, publish, sign_in
from tests.started import Started

REFRESH_LIMIT_MS = 40_000  # the page asks every 30 s


@pytest.fixture(scope="module", autouse=True)
def tenant(platform: Started) -> None:
    person(platform, "ana", "navegador")
    platform.tds("gateway", "add", "GW-TEST-001", "--tenant", "navegador")


@pytest.fixture(params=[("light", 1440), ("dark", 360)], ids=["light-desktop", "dark-phone"])
def page(request: pytest.FixtureRequest, platform: Started) -> Iterator[Page]:
    scheme, width = request.param
    with (
        chromium() as browser,
        opened(browser, platform, viewport={"width": width, "height": 800}, color_scheme=scheme) as found,
    ):
        assert_accessible(found)
        assert_fits(found)
        sign_in(found, "ana")
        yield found


def test_a_published_message_shows_at_the_next_refresh(platform: Started, page: Page) -> None:
    value = 100 + datetime.now(UTC).timestamp() % 800 // 1 + 0.45
    shown = f"{value:.2f}".rstrip("0").replace(".", ",")
    publish(platform, "GW-TEST-001", value)
    expect(page.get_by_text(shown).first).to_be_visible(timeout=REFRESH_LIMIT_MS)
    assert_accessible(page)
    assert_fits(page)
