"""README's tour of an update, as a person walks it: three devices as programs, the pages in a real Chromium.

A good release goes out in two waves; a bad one halts after the first, and its device comes back; an older release and a
forged one are refused with the reason.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tds.environment import ROOT
from tds.local.prepared import RELEASE_KEYS
from tests.browsing import assert_accessible, assert_fits, chromium, opened, sign_in
from tests.devices import built
from tests.fielded import Fleet, fleet
from tests.running import wait_until
from tests.started import Started

TENANT: Final = "oficina"
FAMILY: Final = "dcu-0080"
CODES: Final = [f"T-{FAMILY}-{number:04d}" for number in (1, 2, 3)]
WORDS: Final = ("--tenant", TENANT, "--prefix", "T", "--count", "3", "--interval", "5", "--trial", "20")
UPDATES: Final = "/tds_new/atualizacoes/"
RELEASES: Final = "/tds_new/versoes/"
UPDATE_LIMIT_MS: Final = 90_000
FACTORY: Final = (ROOT / "firmware" / "version.txt").read_text(encoding="ascii").strip()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def on(home: Started) -> Started:
    built("host")
    home.start("--no-demo")
    home.tds("tenant", "add", TENANT, "--name", "Oficina")
    return home


@pytest.fixture
def page(browser: Browser, on: Started) -> Iterator[Page]:
    # What a person does wrong on purpose is answered with 400, which the console calls an error.
    with opened(browser, on, expected="400") as found:
        operator(on)
        sign_in(found, "ana")
        yield found


def operator(on: Started) -> None:
    """Ana operates the platform, and belongs to the company too."""
    password = "um cavalo correto"
    on.tds("user", "add", "ana", "--tenant", TENANT, "--role", "admin", "--password-stdin", stdin=f"{password}\n")
    made = "from tds.fleet.models import User; User.objects.filter(username='ana').update(is_superuser=True)"
    words: list[Path | str] = [ROOT / ".venv" / "bin" / "python", ROOT / "manage.py", "shell", "-c", made]
    subprocess.run(words, env=on.environment, check=True, capture_output=True, timeout=60)


def signed(on: Started, folder: Path, version: str, *words: str, key: Path | None = None) -> tuple[Path, Path]:
    """Image and manifest, by README's commands."""
    subprocess.run([ROOT / "scripts" / "firmware", "image", version, *words], capture_output=True, check=True)
    image, manifest = folder / f"{version}.bin", folder / f"{version}.json"
    (ROOT / "firmware" / "build" / "images" / f"{FAMILY}-{version}.bin").rename(image)
    on.tds("release", "build-manifest", str(image), str(manifest), "--product", "dcu")
    on.tds("release", "sign", str(manifest), "--key", str(key or on.home / RELEASE_KEYS / "release.key"))
    return image, manifest.with_suffix(".jws")


def upload(page: Page, on: Started, files: tuple[Path, Path]) -> None:
    page.goto(on.ready["web_url"] + RELEASES)
    if not page.locator("details[open] input[name=imagem]").count():
        page.get_by_text("Receber uma versão").click()
    page.set_input_files("input[name=imagem]", files[0])
    page.set_input_files("input[name=manifesto]", files[1])
    page.get_by_role("button", name="Verificar e receber").click()


def publish_and_roll_out(page: Page) -> None:
    page.get_by_role("button", name="Publicar").click()
    page.get_by_role("link", name="Distribuir").click()
    page.fill("input[name=ondas]", "1, 100 %")
    page.fill("input[name=observar]", "0,1")
    wait_until(lambda: all_three_are_in(page), "three devices that have said which keys they trust", 60)
    page.get_by_role("button", name="Iniciar").click()
    page.wait_for_url(re.compile(rf"{UPDATES}\d+/(#.*)?$"))


def all_three_are_in(page: Page) -> bool:
    """Looking changes nothing; a device asks for its trust set some seconds after its start."""
    page.get_by_role("button", name="Ver quem a recebe").click()
    return "3 gateways" in page.locator("#preview-title").inner_text()


def row(page: Page, code: str) -> str:
    return page.locator("tbody tr").filter(has_text=code).inner_text()


def versions(running: Fleet) -> list[str]:
    return sorted(device["version"] for device in running.said.get("devices", []))


def test_a_good_release_goes_out_a_bad_one_halts_an_old_and_a_forged_one_are_refused(
    page: Page, on: Started, tmp_path: Path
) -> None:
    with fleet(on, *WORDS) as running:
        wait_until(lambda: running.is_online() and versions(running) == [FACTORY] * 3, "three devices")

        upload(page, on, signed(on, tmp_path, "8.1.0"))
        publish_and_roll_out(page)
        expect(page.locator(".states .badge").first).to_have_text("concluída", timeout=UPDATE_LIMIT_MS)
        for code in CODES:
            assert "8.1.0" in row(page, code)
        assert versions(running) == ["8.1.0"] * 3
        assert page.locator(".waves > li").count() == 2
        assert_accessible(page)
        assert_fits(page)

        upload(page, on, signed(on, tmp_path, "8.2.0", "--fault", "crashes"))
        publish_and_roll_out(page)
        expect(page.locator("#halted")).to_be_visible(timeout=UPDATE_LIMIT_MS)
        waves = page.locator(".waves > li")
        expect(waves.nth(0)).to_contain_text("1 falhou")
        expect(waves.nth(1)).to_contain_text("2 em espera")
        wait_until(lambda: running.is_online() and versions(running) == ["8.1.0"] * 3, "what they had", 60)
        failed = page.locator("tbody tr").filter(has_text="Depois de reiniciar")
        expect(failed).to_have_count(1)
        expect(failed).to_contain_text("8.1.0")
        assert_accessible(page)

        upload(page, on, signed(on, tmp_path, "8.0.0"))
        expect(page.locator(".notice[role=alert]").first).to_contain_text("8000000")
        assert page.locator("h1").inner_text() != "dcu 8.0.0"

        on.tds("release", "keygen", str(tmp_path / "stranger"))
        upload(page, on, signed(on, tmp_path, "8.3.0", key=tmp_path / "stranger" / "release.key"))
        expect(page.locator(".notice[role=alert]").first).to_contain_text(re.compile("chave|key", re.IGNORECASE))
        assert running.stop() == 0, running.errors
