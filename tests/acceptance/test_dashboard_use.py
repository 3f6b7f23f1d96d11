"""The dashboard as people use it: shared addresses, keyboards, other languages, and devices that mean harm."""

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import (
    DASHBOARD,
    assert_accessible,
    assert_fits,
    chromium,
    opened,
    person,
    publish,
    refresh,
    refresh_until,
    settled,
    sign_in,
)
from tests.running import wait_until
from tests.simulating import stored_messages
from tests.started import Started


@pytest.fixture(scope="module", autouse=True)
def fleet(platform: Started) -> None:
    person(platform, "bia", "oficina")
    person(platform, "caio", "oficina", "padaria")
    platform.tds("gateway", "add", "GW-OF-1", "--tenant", "oficina")
    platform.tds("gateway", "add", "GW-OF-2", "--tenant", "oficina")
    platform.tds("gateway", "add", "GW-PAD-1", "--tenant", "padaria")
    for device in ("D01", "D02"):
        publish(platform, "GW-OF-1", 21.5, device=device, tipo="temperatura", unidade="°C")
    publish(platform, "GW-OF-2", 60, tipo="umidade", unidade="%")
    publish(platform, "GW-PAD-1", 180.5, device="FORNO", tipo="temperatura", unidade="°C")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, platform: Started) -> Iterator[Page]:
    with opened(browser, platform) as found:
        sign_in(found, "bia")
        yield found


def names(page: Page) -> list[str]:
    return page.locator("#legend .legend-item span").all_inner_texts()


def wait_for_names(page: Page, *wanted: str) -> None:
    wait_until(lambda: names(page) == list(wanted), f"the lines {wanted}")


def test_a_view_is_in_its_address_and_a_colleague_opens_the_same(
    browser: Browser, platform: Started, page: Page
) -> None:
    page.get_by_role("radio", name="7 dias").check()
    page.select_option("#filter-gateway", "GW-OF-1")
    page.select_option("#filter-tipo", "temperatura")
    page.locator("#devices summary").click()
    page.get_by_role("checkbox", name="D02").check()
    wait_for_names(page, "GW-OF-1/D02")
    assert page.url.endswith("?periodo=7d&tipo=temperatura&gateway=GW-OF-1&dispositivo=D02")
    with opened(browser, platform) as other:
        other.goto(page.url)
        sign_in(other, "caio")
        wait_for_names(other, "GW-OF-1/D02")
        assert other.url == page.url
        expect(other.get_by_role("radio", name="7 dias")).to_be_checked()
        expect(other.locator("#filter-gateway")).to_have_value("GW-OF-1")
    page.go_back()
    wait_for_names(page, "GW-OF-1/D01", "GW-OF-1/D02")


def test_another_tenants_view_is_a_sentence_and_a_way_out(browser: Browser, platform: Started) -> None:
    with opened(browser, platform, expected="404") as page:
        page.goto(f"{platform.ready['web_url']}{DASHBOARD}?gateway=GW-PAD-1")
        sign_in(page, "bia")
        expect(page.locator("#error-text")).to_have_text("Não há gateway com esse código.")
        assert_accessible(page)
        page.get_by_role("button", name="Limpar filtros").last.click()
        wait_for_names(page, "GW-OF-1/D01", "GW-OF-1/D02")
        assert page.url.endswith(DASHBOARD)


def test_a_device_that_went_silent_is_said_to_be_stale(platform: Started, page: Page) -> None:
    publish(platform, "GW-OF-2", 55, device="D09", tipo="umidade", unidade="%", age=timedelta(minutes=25))
    stored = functools.partial(stored_messages, platform, "GW-OF")
    wait_until(lambda: any(of[:2] == ("GW-OF-2", "D09") for of in stored()), "its first reading")
    page.goto(page.url + "?gateway=GW-OF-2&dispositivo=D09")
    expect(page.locator("#status-said")).to_have_text("Nenhuma leitura nova há mais de 10 min: GW-OF-2/D09.")
    expect(page.locator("#status")).to_have_attribute("data-state", "stale")
    expect(page.locator(".card").filter(has_text="D09")).to_contain_text("atrasado")
    publish(platform, "GW-OF-2", 56, device="D09", tipo="umidade", unidade="%")
    refresh_until(page, lambda: page.locator("#status").get_attribute("data-state") == "live", "live again")


def test_when_the_server_is_gone_the_page_says_since_when_and_recovers(browser: Browser, platform: Started) -> None:
    with opened(browser, platform, expected="ERR_") as page:
        sign_in(page, "bia")
        before = page.locator(".card").count()
        page.route("**/api/**", lambda route: route.abort())
        refresh(page)
        expect(page.locator("#status-said")).to_contain_text("O servidor não responde desde")
        expect(page.locator("#status")).to_have_attribute("data-state", "unreachable")
        assert page.locator(".card").count() == before  # what was seen stays
        assert_accessible(page)
        page.unroute("**/api/**")
        page.get_by_role("button", name="Tentar agora").click()
        expect(page.locator("#status-said")).to_contain_text("O servidor voltou a responder.")


def test_a_refresh_asks_only_for_what_changed_and_keeps_the_drawing(platform: Started, page: Page) -> None:
    page.evaluate("window.kept = document.querySelector('#line')")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    publish(platform, "GW-OF-1", 22.75, tipo="temperatura", unidade="°C")
    refresh_until(page, lambda: page.get_by_text("22,75").count() > 0, "22,75")
    charts = [url for url in asked if "/timeline/" in url or "/barras/" in url]
    assert charts
    assert all("desde=" in url for url in charts)
    assert not [url for url in asked if "/api/" not in url and "opcoes" not in url]
    assert page.evaluate("window.kept === document.querySelector('#line')")


def test_the_texts_of_a_device_are_never_html(browser: Browser, platform: Started) -> None:
    tipo, unidade = "<img src=x onerror=alert(1)>", "<b>x</b>"
    person(platform, "duda", "alvo")
    platform.tds("gateway", "add", "GW-ALVO", "--tenant", "alvo")
    publish(platform, "GW-ALVO", 7, tipo=tipo, unidade=unidade)
    with opened(browser, platform) as page:
        sign_in(page, "duda")
        expect(page.locator(".card dt")).to_have_text(tipo)
        expect(page.locator("#line-unit")).to_contain_text(f"{tipo} ({unidade})")
        page.locator("#line-table summary").click()
        page.locator("#line-box canvas").hover()
        page.select_option("#filter-tipo", tipo)
        settled(page)
        assert page.locator("main img, main b").count() == 0


def test_the_page_works_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Ir para o conteúdo")).to_be_focused()
    page.get_by_role("radio", name="24 h").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"\?periodo=7d$"))
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.locator("#devices > summary")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.get_by_role("checkbox", name="D01")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("dispositivo=D01"))
    expect(page.get_by_role("checkbox", name="D01")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#devices")).not_to_have_attribute("open", "")
    page.locator("#legend button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#legend button").first).to_have_attribute("aria-pressed", "false")
    page.locator("#line-table summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#line-table table")).to_be_visible()


def test_a_member_of_two_companies_sees_one_at_a_time(browser: Browser, platform: Started) -> None:
    with opened(browser, platform) as page:
        sign_in(page, "caio")
        wait_for_names(page, "GW-OF-1/D01", "GW-OF-1/D02")
        page.locator(".tenant-menu summary").click()
        page.get_by_role("button", name="Padaria").click()
        page.wait_for_load_state("networkidle")
        wait_for_names(page, "GW-PAD-1/FORNO")
        assert "GW-OF" not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_english_in_each_theme_and_size_is_accessible_and_fits(
    browser: Browser, platform: Started, scheme: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    with opened(browser, platform, locale="en-US", color_scheme=scheme, viewport=viewport) as page:
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        sign_in(page, "bia")
        expect(page.get_by_role("heading", name="By hour")).to_be_visible()
        assert_accessible(page)
        assert_fits(page)


def test_the_language_and_the_theme_are_the_persons_choice_and_stay(page: Page) -> None:
    page.locator(".top-end summary").click()
    page.get_by_role("radio", name="Escuro").check()
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="By hour")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="By hour")).to_be_visible()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_first_messages_line_works_in_a_shell(browser: Browser, platform: Started, tmp_path: Path) -> None:
    person(platform, "eva", "nova")
    with opened(browser, platform) as page:
        sign_in(page, "eva")
        expect(page.locator("#no-gateway")).to_contain_text("./tds gateway add GW-001 --tenant nova")
        assert_accessible(page)
        platform.tds("gateway", "add", "GW-001", "--tenant", "nova")
        refresh_until(page, page.locator("#first-message").is_visible, "the line")
        assert_accessible(page)
        script = tmp_path / "pasted.sh"
        script.write_text(page.locator("#first-message-line").inner_text() + "\n", encoding="utf-8")
        subprocess.run(["sh", script], check=True, timeout=10, env=os.environ)
        # The card first: the chart is asked for after it, and may have the reading one refresh earlier.
        refresh_until(page, page.locator(".card").is_visible, "the reading")
        expect(page.locator(".card")).to_contain_text("23,5")
        refresh_until(page, lambda: names(page) == ["GW-001/D01"], "its line")


def test_the_bars_scale_stays_in_sight_while_they_scroll(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.get_by_role("radio", name="30 dias").check()
    wait_until(lambda: page.evaluate("document.querySelector('#bars-box').scrollLeft > 100"), "the newest day")
    drawn = """() => {
        const box = document.querySelector('#bars-box'), canvas = box.querySelector('canvas');
        const ratio = canvas.width / canvas.clientWidth, left = Math.round(box.scrollLeft * ratio);
        const pixels = canvas.getContext('2d').getImageData(left, 0, Math.round(24 * ratio), canvas.height).data;
        const shades = new Set();
        for (let at = 0; at < pixels.length; at += 4) shades.add(`${pixels[at]},${pixels[at + 1]},${pixels[at + 2]}`);
        return shades.size;
    }"""
    wait_until(lambda: page.evaluate(drawn) > 5, "text, and not only the ground it stands on")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_ledger_is_drawn_and_says_that_it_balances(browser: Browser, platform: Started, width: int) -> None:
    with opened(browser, platform, viewport={"width": width, "height": 800}) as page:
        sign_in(page, "bia")
        page.get_by_role("link", name="Registro de mensagens").click()
        expect(page.locator(".notice")).to_contain_text("As contas fecham")
        expect(page.locator("canvas").first).to_have_attribute("aria-label", re.compile("Barras empilhadas"))
        painted = (
            """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"""
        )
        for canvas in page.locator("canvas").all():
            assert canvas.evaluate(painted)
        assert_accessible(page)
        assert_fits(page)
        platform_said = platform.tds("ledger", "check", check=False)
        assert (platform_said.returncode, platform_said.stderr) == (0, "")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
def test_what_was_refused_is_found_and_says_what_to_do(
    browser: Browser, platform: Started, width: int, scheme: str
) -> None:
    publish(platform, "GW-OF-2", 1.0, unidade="<b>mais de 16 caracteres</b>")
    with opened(browser, platform, color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        sign_in(page, "bia")
        page.get_by_role("link", name="Quarentena").click()
        expect(page.get_by_role("heading", name="Quem mais envia")).to_be_visible()
        page.locator(".senders").get_by_role("link", name="GW-OF-2").first.click()
        expect(page.get_by_label("Código do gateway")).to_have_value("GW-OF-2")
        page.locator(".kept summary").first.press("Enter")
        expect(page.locator(".kept pre").first).to_contain_text("<b>mais de 16 caracteres</b>")
        expect(page.locator(".kept .advice").first).to_contain_text("O dispositivo enviou uma leitura cujo")
        assert_accessible(page)
        assert_fits(page)
