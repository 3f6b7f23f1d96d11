"""README's picture: the real page of a platform started for it, with the demo's gateways. Run by `make screenshot`."""

import sys
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.browsing import DASHBOARD, chromium
from tests.started import Started, new_home

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs/img/dashboard.png"
MAX_PICTURE_BYTES: Final = 300_000  # README loads it on every visit
HISTORY_LIMIT_S: Final = 120.0
CHARTS_LIMIT_MS: Final = 60_000
LIVE_S: Final = 12  # the demo's devices send every 5 s: then every card says "just now"
ANIMATION_MS: Final = 1_500


def main() -> None:
    with new_home() as platform:
        platform.start("--demo")
        wait_for_history(platform)
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="pt-BR", color_scheme="light")
            sign_in(page, platform)
            take(page)
    size_bytes = PICTURE.stat().st_size
    if size_bytes > MAX_PICTURE_BYTES:
        sys.exit(f"{PICTURE} has {size_bytes} bytes; README's picture may have {MAX_PICTURE_BYTES}.")
    sys.stdout.write(f"{PICTURE}: {size_bytes} bytes\n")


def wait_for_history(platform: Started) -> None:
    """Until the demo's 30 days are acknowledged and its live readings come."""
    deadline = time.monotonic() + HISTORY_LIMIT_S
    while not (platform.home / "demo-history-sent").exists():
        if time.monotonic() > deadline:
            sys.exit(f"The demo's history was not sent within {HISTORY_LIMIT_S:.0f} s.")
        time.sleep(0.2)
    time.sleep(LIVE_S)


def sign_in(page: Page, platform: Started) -> None:
    ready = platform.ready
    password = Path(ready["admin_password_file"]).read_text(encoding="utf-8").strip()
    page.goto(f"{ready['web_url']}{DASHBOARD}?periodo=24h&gateway=GW-DEMO-001")
    page.fill("input[name=login]", ready["admin_user"])
    page.fill("input[type=password]", password)
    page.press("input[type=password]", "Enter")


def take(page: Page) -> None:
    page.wait_for_selector("canvas", timeout=CHARTS_LIMIT_MS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(ANIMATION_MS)
    page.mouse.move(0, 0)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
