"""The platform's status as its operator sees it: open, in the background, and while it can't be asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import DASHBOARD, assert_accessible, assert_fits, chromium, opened, refresh
from tests.started import Started

STATUS: Final = f"{DASHBOARD}situacao/"
LOOK_LIMIT_MS: Final = 30_000
NEXT_ATTEMPT_MS: Final = 4_000  # after a failure it comes within 2 s


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, platform: Started) -> Iterator[Page]:
    with opened(browser, platform, expected="ERR_", viewport={"width": 360, "height": 800}) as found:
        found.fill("input[name=login]", platform.ready["admin_user"])
        password = Path(platform.ready["admin_password_file"]).read_text(encoding="utf-8").strip()
        found.fill("input[type=password]", password)
        found.press("input[type=password]", "Enter")
        found.get_by_role("link", name="Plataforma").click()
        found.wait_for_url(f"**{STATUS}")
        yield found


def test_the_operator_sees_each_part_and_when_the_page_no_longer_knows(page: Page) -> None:
    broker = page.locator(".part").filter(has_text="published, stored and read again")
    expect(broker.locator(".badge")).to_have_text("funciona", timeout=LOOK_LIMIT_MS)
    expect(page.locator("#spools")).to_contain_text("0% em uso")
    assert_accessible(page)
    assert_fits(page)
    page.evaluate("window.kept = true")

    page.route("**/api/situacao/", lambda route: route.abort())
    refresh(page)
    expect(page.locator("#status-said")).to_contain_text("O servidor não responde desde")
    expect(page.locator("#summary")).to_be_hidden()
    assert broker.is_visible()  # what was seen stays
    page.unroute("**/api/situacao/")
    page.get_by_role("button", name="Tentar agora").click()
    expect(page.locator("#status-said")).to_contain_text("O servidor voltou a responder.")
    expect(page.locator("#summary")).to_be_visible()
    assert page.evaluate("window.kept")  # without a page load


def test_nothing_is_asked_while_nobody_looks(page: Page) -> None:
    expect(page.locator("#summary")).to_be_visible(timeout=LOOK_LIMIT_MS)
    page.route("**/api/situacao/", lambda route: route.abort())
    refresh(page)
    expect(page.locator("#status")).to_have_attribute("data-state", "unreachable")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.unroute("**/api/situacao/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(NEXT_ATTEMPT_MS)
    assert asked == []
    page.evaluate("delete document.hidden")
    with page.expect_request("**/api/situacao/"):
        refresh(page)
