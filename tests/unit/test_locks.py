"""The set-up relies on this: what the tests install holds all that running needs, and no lock names an address."""

import re

from tds.environment import ROOT


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==(\S+)", text, re.MULTILINE | re.IGNORECASE))


def test_the_tests_run_on_the_versions_that_people_run() -> None:
    assert pins("run.txt")
    assert pins("run.txt").items() <= pins("test.txt").items()


def test_no_lock_holds_an_address() -> None:
    for path in ("requirements/run.txt", "requirements/test.txt", "package-lock.json"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "://" not in text, path
        assert "--index-url" not in text, path


def test_every_pin_has_its_hashes() -> None:
    for name in ("run.txt", "test.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
