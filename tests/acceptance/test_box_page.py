"""The page of a box in a real Chromium: both languages, phone and desktop, dark and light, and on paper."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tds.identity.factory import label
from tds.identity.factory.box_page import pages
from tests.browsing import assert_accessible, assert_fits, chromium

HOSTILE: Final = '<img src=x onerror="document.title=1">&amp;"'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def entry(number: int, **changed: str) -> dict[str, str]:
    return {
        "code": f"GW-{number:04}",
        "tenant": "acme",
        "site": "São Luís",
        "family": "dcu-0080",
        "hardware": "C",
        "broker": "mqtts://mqtt.example.com:8883",
        "apn": "claro.com.br",
        "serial": f"{number:040x}",
        "sha256": "",
        "not_before": "2026-11-25T00:00:00+00:00",
        "not_after": "2028-11-24T00:00:00+00:00",
        "image_sha256": "",
    } | changed


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = [*(entry(number) for number in range(1, 10)), entry(10, site=HOSTILE, family="", hardware=HOSTILE[:20])]
    entries.append(entry(11, code="GW-" + "9" * 61))
    known = {each["code"]: each for each in entries}

    def drawn(code: str) -> str:
        return label.svg(code, known[code]["family"], known[code]["hardware"])

    folder = tmp_path_factory.mktemp("box")
    for name, text in pages(HOSTILE, entries, drawn, language="", made_at=datetime.now(UTC)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "index.html"


@contextmanager
def shown(browser: Browser, file: Path, **options: Any) -> Iterator[Page]:
    """What the console calls an error, a broken policy among it, fails the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert errors == []


@pytest.mark.parametrize(
    ("locale", "said", "other"), [("pt-BR", "11 unidades", "11 units"), ("en", "11 units", "11 unid")]
)
def test_it_speaks_the_browsers_language_and_changes_it_at_a_click(
    browser: Browser, page_file: Path, locale: str, said: str, other: str
) -> None:
    with shown(browser, page_file, locale=locale) as page:
        expect(page.locator(".about")).to_contain_text(said)
        assert other not in page.inner_text("body")
        page.click("button[aria-pressed=false]")
        expect(page.locator(".about")).not_to_contain_text(said, use_inner_text=True)
        assert other in page.inner_text("body")


def test_a_strangers_browser_gets_portuguese(browser: Browser, page_file: Path) -> None:
    with shown(browser, page_file, locale="ja-JP") as page:
        expect(page.locator("html")).to_have_attribute("lang", "pt-BR")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_a_phone_and_a_desktop_and_everybody_can_read_it(
    browser: Browser, page_file: Path, width: int, scheme: Any
) -> None:
    size = {"width": width, "height": 800}
    with shown(browser, page_file, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        assert_fits(page)
        assert_accessible(page)


def test_a_unit_is_found_by_a_part_of_its_code(browser: Browser, page_file: Path) -> None:
    with shown(browser, page_file) as page:
        page.fill("#find", "gw-0007")
        expect(page.locator(".unit:visible")).to_have_count(1)
        expect(page.locator("#found")).to_have_text("1 / 11")
        page.fill("#find", "")
        expect(page.locator(".unit:visible")).to_have_count(11)


def test_what_a_list_says_is_text_and_never_markup(browser: Browser, page_file: Path) -> None:
    with shown(browser, page_file) as page:
        expect(page.locator("h1")).to_have_text(HOSTILE)
        expect(page.locator(".unit", has_text="GW-0010")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 0


def test_on_paper_labels_have_their_size_and_none_is_cut_by_a_page(browser: Browser, page_file: Path) -> None:
    with shown(browser, page_file, viewport={"width": 718, "height": 1047}) as page:  # A4 without its margins, in px
        page.emulate_media(media="print")
        widths = page.evaluate("[...document.querySelectorAll('.unit svg')].map(e => e.getBoundingClientRect().width)")
        assert all(abs(width - 50 / 25.4 * 96) < 1 for width in widths)
        assert_fits(page)
        expect(page.locator(".ticks").first).to_be_visible()
        assert not page.locator("#find").is_visible()
