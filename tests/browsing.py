"""The dashboard in a real Chromium, as a person sees it."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tds.environment import ROOT
from tests.running import wait_until
from tests.started import Started

CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PASSWORD: Final = "um cavalo correto"
DASHBOARD: Final = "/tds_new/telemetria/"
AXE: Final = ROOT / "node_modules/axe-core/axe.min.js"
SOON_MS: Final = 10_000


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, platform: Started, *, expected: str = "", **options: Any) -> Iterator[Page]:
    """A page of a fresh profile. What its console calls an error, a broken CSP among it, fails the test.

    `expected` is in the error that the test is about.
    """
    context = browser.new_context(**{"locale": "pt-BR", "viewport": {"width": 1280, "height": 800}} | options)
    context.set_default_timeout(SOON_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    page.goto(platform.ready["web_url"] + DASHBOARD)
    yield page
    context.close()
    assert [error for error in errors if not expected or expected not in error] == []


def sign_in(page: Page, name: str) -> None:
    page.fill("input[name=login]", name)
    page.fill("input[type=password]", PASSWORD)
    page.press("input[type=password]", "Enter")
    page.wait_for_url(f"**{DASHBOARD}**")
    settled(page)


def settled(page: Page) -> None:
    """Until the page shows what it asked for."""
    expect(page.locator("#status")).not_to_have_attribute("data-state", "loading", timeout=SOON_MS)
    page.wait_for_load_state("networkidle")


def refresh(page: Page) -> None:
    """What half a minute does: a page that is looked at again asks at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_load_state("networkidle")


def refresh_until(page: Page, done: Callable[[], bool], what: str) -> None:
    def asked() -> bool:
        refresh(page)
        return done()

    wait_until(asked, what)


def person(platform: Started, name: str, *tenants: str) -> str:
    for slug in tenants:
        platform.tds("tenant", "add", slug, "--name", slug.title(), check=False)
        platform.tds("user", "add", name, "--tenant", slug, "--password-stdin", stdin=f"{PASSWORD}\n")
    return name


def publish(
    platform: Started,
    gateway: str,
    value: float,
    *,
    device: str = "D01",
    tipo: str = "energia",
    unidade: str = "kWh",
    age: timedelta = timedelta(0),
) -> None:
    """A message by a program that nobody here wrote. `tipo` and `unidade` as they stand in JSON."""
    body = (
        f'{{"gateway_code": "{gateway}", "device_code": "{device}", '
        f'"timestamp": "{(datetime.now(UTC) - age).isoformat()}", '
        f'"leituras": [{{"tipo": "{tipo}", "valor": {value}, "unidade": "{unidade}"}}]}}'
    )
    port = platform.environment["TDS_MQTT_PORT"]
    topic = f"telemetry/{gateway}/{device}/data"
    subprocess.run(["mosquitto_pub", "-p", port, "-q", "1", "-t", topic, "-m", body], check=True, timeout=10)


def assert_accessible(page: Page) -> None:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(result => result.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    assert [violation for violation in found if violation[0] in {"serious", "critical"}] == []


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
