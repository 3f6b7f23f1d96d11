"""README's picture: the real page of a platform started for it, with the demo's gateways. Run by `make screenshot`."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.started import Started, new_home

PICTURE = Path(__file__).resolve().parents[1] / "docs/img/dashboard.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
CHARTS_LIMIT_MS = 60_000


def main() -> None:
    with new_home() as platform:
        platform.start()
        take(platform)
    sys.stdout.write(f"{PICTURE}\n")


def take(platform: Started) -> None:
    ready = platform.ready
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 860}, locale="pt-BR", color_scheme="light")
        page.goto(f"{ready['web_url']}/tds_new/telemetria/")
        page.fill("input[name=login]", ready["admin_user"])
        page.fill("input[type=password]", Path(ready["admin_password_file"]).read_text(encoding="utf-8").strip())
        page.press("input[type=password]", "Enter")
        page.wait_for_selector("canvas", timeout=CHARTS_LIMIT_MS)
        page.wait_for_load_state("networkidle")
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
