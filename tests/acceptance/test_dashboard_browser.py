"""The dashboard in a real browser, on the whole platform."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tds.environment import ROOT
from tests.started import Started

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PASSWORD = "um cavalo correto"
REFRESH_LIMIT_MS = 40_000  # the page asks every 30 s
AXE = ROOT / "node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def tenant(platform: Started) -> str:
    platform.tds("tenant", "add", "navegador")
    platform.tds("user", "add", "ana", "--tenant", "navegador", "--password-stdin", stdin=f"{PASSWORD}\n")
    platform.tds("gateway", "add", "GW-TEST-001", "--tenant", "navegador")
    return "navegador"


@pytest.fixture(params=[("light", 1440), ("dark", 360)], ids=["light-desktop", "dark-phone"])
def page(request: pytest.FixtureRequest, platform: Started, tenant: str) -> Iterator[Page]:
    """Signed in. Anything that the browser's console calls an error, a broken CSP among them, fails the test."""
    scheme, width = request.param
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, locale="pt-BR")
        opened = context.new_page()
        opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(f"{platform.ready['web_url']}/tds_new/telemetria/")
        assert_accessible(opened)
        opened.fill("input[name=login]", "ana")
        opened.fill("input[type=password]", PASSWORD)
        opened.press("input[type=password]", "Enter")
        opened.wait_for_url("**/tds_new/telemetria/**")
        opened.wait_for_load_state("networkidle")
        yield opened
        browser.close()
    assert errors == []


def publish(platform: Started, value: float, device: str = "D01") -> None:
    """What the contract's example says, by a program that nobody here wrote."""
    body = (
        f'{{"gateway_code": "GW-TEST-001", "device_code": "{device}", '
        f'"timestamp": "{datetime.now(UTC).isoformat()}", '
        f'"leituras": [{{"tipo": "energia", "valor": {value}, "unidade": "kWh"}}]}}'
    )
    port = platform.environment["TDS_MQTT_PORT"]
    topic = f"telemetry/GW-TEST-001/{device}/data"
    subprocess.run(["mosquitto_pub", "-p", port, "-q", "1", "-t", topic, "-m", body], check=True, timeout=10)


def assert_accessible(page: Page) -> None:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(result => result.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    assert [violation for violation in found if violation[0] in {"serious", "critical"}] == []


def test_a_published_message_shows_at_the_next_refresh(platform: Started, page: Page) -> None:
    value = 100 + datetime.now(UTC).timestamp() % 800 // 1 + 0.45
    shown = f"{value:.2f}".rstrip("0").replace(".", ",")
    publish(platform, value)
    expect(page.get_by_text(shown).first).to_be_visible(timeout=REFRESH_LIMIT_MS)
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"


def test_the_page_says_when_the_server_cannot_be_reached(platform: Started, tenant: str) -> None:
    publish(platform, 1.5)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(locale="pt-BR")
        page.goto(f"{platform.ready['web_url']}/tds_new/telemetria/")
        page.fill("input[name=login]", "ana")
        page.fill("input[type=password]", PASSWORD)
        page.press("input[type=password]", "Enter")
        page.wait_for_url("**/tds_new/telemetria/**")
        page.wait_for_load_state("networkidle")
        page.route("**/api/**", lambda route: route.abort())
        expect(page.get_by_text("não responde").first).to_be_visible(timeout=REFRESH_LIMIT_MS)
        browser.close()
