"""The gateways' pages in a browser, on the whole platform: one is put out while somebody looks, and let in again."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tds.environment import ROOT
from tests.browsing import (
    PASSWORD,
    assert_accessible,
    assert_fits,
    chromium,
    opened,
    refresh,
    refresh_until,
    settled,
    sign_in,
)
from tests.certified import Session, Unit, gets_in_at, let_in
from tests.running import wait_until
from tests.started import Started

LIST: Final = "/tds_new/gateways/"
LIVE: Final = "GW-VIVO-1"
IDLE: Final = "GW-VIVO-2"
OURS: Final = "GW-VIVO-3"  # connected by the test itself
CUT_LIMIT_S: Final = 5.0
CUT_LIMIT_MS: Final = 1_000 * CUT_LIMIT_S
STOP_LIMIT_S: Final = 20.0


@pytest.fixture(scope="module", autouse=True)
def box(platform: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three provisioned gateways, of which the first one is at work."""
    folder = tmp_path_factory.mktemp("vivo")
    platform.tds("tenant", "add", "vivo", "--name", "Vivo Ltda.")
    for name, role in (("rita", "admin"), ("vera", "viewer")):
        platform.tds(
            *("user", "add", name, "--tenant", "vivo", "--role", role, "--password-stdin"), stdin=f"{PASSWORD}\n"
        )
    units = folder / "units.csv"
    units.write_text(
        "gateway_code,tenant,site,family\n"
        + "".join(f"{code},vivo,Galpão Norte,dcu-0080\n" for code in (LIVE, IDLE, OURS)),
        encoding="utf-8",
    )
    platform.tds("provision", str(units), "--out", str(folder / "box"))
    for code in (IDLE, OURS):
        (folder / "box" / code).rename(folder / code)  # they stay on their shelf
    process = subprocess.Popen(
        [
            *(ROOT / "tds", "simulate", "--box", str(folder / "box"), "--devices", "1", "--interval", "1"),
            *("--broker", platform.ready["mqtts_url"], "--est", platform.ready["ota_url"], "--json"),
        ],
        env=platform.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield folder / "box"
    finally:
        process.terminate()
        process.communicate(timeout=STOP_LIMIT_S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, platform: Started) -> Iterator[Page]:
    with opened(browser, platform) as found:
        sign_in(found, "rita")
        found.get_by_role("link", name="Gateways", exact=True).click()
        found.wait_for_url(f"**{LIST}")
        yield found


def row(page: Page, code: str) -> str:
    return page.locator(".fleet tbody tr").filter(has_text=code).inner_text()


def is_well(page: Page) -> bool:
    """Connected, with a message and a reading of some seconds ago."""
    return re.search(r"conectado\s.*há \d+\ss\s.*há \d+\ss", row(page, LIVE), re.DOTALL) is not None


def test_a_gateway_is_cut_off_while_somebody_looks_and_is_let_in_again(page: Page) -> None:
    refresh_until(page, lambda: is_well(page), "its presence")
    assert "nunca visto" in row(page, IDLE)
    page.get_by_role("link", name=LIVE).click()
    expect(page.locator(".presence")).to_contain_text("O broker tem uma sessão com ele há")
    page.get_by_text("Desativar…").click()
    page.get_by_label("Desconectá-lo agora").check()
    page.get_by_role("button", name="Desativar", exact=True).click()
    page.evaluate("window.kept = true")
    expect(page.locator("#reached")).to_contain_text(
        re.compile(r"Desconectado após \d,\d s; os brokers o recusam\."), timeout=CUT_LIMIT_MS
    )
    refresh_until(page, lambda: "sem conexão" in page.locator(".presence").inner_text(), "the end of its session")
    expect(page.locator(".trail li").first).to_contain_text("desativado rita")
    assert page.evaluate("window.kept")  # all of it without a page load

    page.get_by_role("button", name="Ativar", exact=True).click()
    expect(page.locator("#reached")).to_contain_text(
        re.compile(r"Os brokers voltaram a aceitá-lo, após \d,\d s\."), timeout=CUT_LIMIT_MS
    )
    refresh_until(page, lambda: "O broker tem uma sessão" in page.locator(".presence").inner_text(), "its return")


def test_within_five_seconds_of_the_click_the_live_session_is_cut_and_its_return_refused(
    page: Page, platform: Started, box: Path
) -> None:
    folder = box.parent / OURS
    pem = (folder / "gateway.crt").read_bytes() + (folder / "gateway.key").read_bytes()
    unit = Unit.write(box.parent, OURS, pem, folder / "ca.pem")
    port = int(platform.environment["TDS_MQTT_TLS_PORT"])
    page.get_by_role("link", name=OURS).click()
    with let_in(Session(unit, port)) as session:
        page.get_by_text("Desativar…").click()
        page.get_by_label("Desconectá-lo agora").check()
        clicked_at = monotonic()
        page.get_by_role("button", name="Desativar", exact=True).click()
        assert session.ended.wait(CUT_LIMIT_S)
        assert clicked_at < session.ended_at < clicked_at + CUT_LIMIT_S
        assert not gets_in_at(unit, port)
        left_ms = 1_000 * (clicked_at + CUT_LIMIT_S - monotonic())
        expect(page.locator("#reached")).to_contain_text("os brokers o recusam", timeout=left_ms)
    clicked_at = monotonic()
    page.get_by_role("button", name="Ativar", exact=True).click()
    wait_until(lambda: gets_in_at(unit, port), "its return", CUT_LIMIT_S - (monotonic() - clicked_at))


def test_a_claim_code_is_shown_once(page: Page) -> None:
    page.get_by_role("link", name=IDLE).click()
    page.get_by_role("button", name="Novo código de ativação").click()
    code = page.locator("#claim-code").inner_text()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){4}", code)
    expect(page).to_have_url(re.compile(f"{re.escape(f'{LIST}{IDLE}/')}$"))
    assert_accessible(page)
    refresh(page)
    expect(page.locator("#claim-code")).to_have_text(code)  # until the person goes on
    expect(page.locator(".trail li").first).to_contain_text("código de ativação criado rita")
    page.reload()
    expect(page.locator("#claim-code")).to_have_count(0)
    assert code not in page.content()
    expect(page.locator("main")).to_contain_text(f"começa com {code[:4]}")


def test_the_list_is_brought_up_to_date_without_a_page_load_and_keeps_the_focus(platform: Started, page: Page) -> None:
    page.evaluate("window.kept = document.querySelector('#live')")
    page.get_by_role("link", name=LIVE).focus()
    platform.tds("gateway", "add", "GW-VIVO-0", "--tenant", "vivo", "--name", "<b>Novo</b>")
    refresh_until(page, lambda: page.get_by_text("<b>Novo</b>").count() == 1, "the new one")
    expect(page.get_by_role("heading", name="4 gateways")).to_be_visible()
    expect(page.get_by_role("link", name=LIVE)).to_be_focused()
    assert page.evaluate("window.kept === document.querySelector('#live')")
    page.get_by_label("Código ou nome").fill("vivo-2")
    page.get_by_role("button", name="Filtrar").click()
    expect(page.locator(".fleet tbody tr")).to_have_count(1)
    refresh(page)
    expect(page.locator(".fleet tbody tr")).to_have_count(1)  # the refresh keeps the choice
    page.get_by_role("link", name="Mostrar todos").click()
    expect(page.locator(".fleet tbody tr")).to_have_count(4)


def test_what_somebody_has_opened_stays_open_over_a_refresh(page: Page) -> None:
    page.get_by_role("link", name=LIVE).click()
    page.get_by_text("Aposentar…").click()
    page.get_by_label("Encerrá-lo para sempre").check()
    refresh(page)
    expect(page.get_by_label("Encerrá-lo para sempre")).to_be_checked()


def test_tags_are_given_and_taken_away_and_what_is_typed_meanwhile_stays(platform: Started, page: Page) -> None:
    page.get_by_role("link", name=LIVE).click()
    page.get_by_text("Adicionar etiquetas…").click()
    page.get_by_label("Etiquetas, com um espaço entre elas").fill("Norte BR-101")
    platform.tds("gateway", "tag", LIVE, "--add", "solar")
    refresh_until(page, lambda: page.locator(".tag").all_inner_texts() == ["solar\n×"], "somebody else's tag")
    expect(page.get_by_label("Etiquetas, com um espaço entre elas")).to_have_value("Norte BR-101")
    page.get_by_role("button", name="Adicionar", exact=True).click()
    expect(page.locator(".tag")).to_contain_text(["BR-101", "Norte", "solar"])
    expect(page.locator(".trail li").first).to_contain_text("etiquetado rita")
    assert_accessible(page)
    assert_fits(page)
    page.get_by_role("button", name="Tirar a etiqueta Norte").click()
    expect(page.locator(".tag")).to_contain_text(["BR-101", "solar"])
    page.get_by_role("link", name="solar").click()
    expect(page.locator(".fleet tbody tr")).to_have_count(1)
    expect(page.locator("[name=etiqueta]")).to_have_value("solar")


def test_when_the_server_is_gone_the_page_says_since_when_and_recovers(browser: Browser, platform: Started) -> None:
    with opened(browser, platform, expected="ERR_") as page:
        sign_in(page, "vera")
        page.goto(f"{platform.ready['web_url']}{LIST}{LIVE}/")
        expect(page.locator("#status")).to_have_attribute("data-state", "live")
        page.route("**/tds_new/gateways/**", lambda route: route.abort())
        refresh(page)
        expect(page.locator("#status-said")).to_contain_text("O servidor não responde desde")
        page.unroute("**/tds_new/gateways/**")
        page.get_by_role("button", name="Tentar agora").click()
        expect(page.locator("#status-said")).to_contain_text("O servidor voltou a responder.")


def test_a_page_that_is_on_its_way_to_the_sign_in_asks_no_more(browser: Browser, platform: Started) -> None:
    with opened(browser, platform, expected="401") as page:
        sign_in(page, "vera")
        page.goto(f"{platform.ready['web_url']}{LIST}")
        settled(page)
        asked: list[str] = []

        def answer(route: Route) -> None:
            asked.append(route.request.url)
            # And the page that it loads then does not come: this one stays, as while the other one takes its time.
            route.fulfill(status=401 if "parte=viva" in route.request.url else 204)

        page.route("**/tds_new/**", answer)
        with page.expect_request(lambda request: request.is_navigation_request()):
            look_again(page)
        for _ in range(3):  # each would ask at once
            look_again(page)
        assert [url.partition("?")[2] for url in asked] == ["parte=viva", ""]


def look_again(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_both_pages_are_accessible_and_fit_in_each_theme_and_size(
    browser: Browser, platform: Started, scheme: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    with opened(browser, platform, locale="en-US", color_scheme=scheme, viewport=viewport) as page:
        sign_in(page, "vera")
        page.goto(f"{platform.ready['web_url']}{LIST}")
        expect(page.get_by_role("row").filter(has_text=LIVE)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        page.get_by_role("link", name=LIVE).click()
        expect(page.get_by_role("heading", name="Presence")).to_be_visible()
        assert page.get_by_role("button").filter(has_text=re.compile("Disable|Retire|claim")).count() == 0  # she looks
        assert_accessible(page)
        assert_fits(page)
