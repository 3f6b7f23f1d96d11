"""The translation: whole, with the placeholders of the original, and of what the sources say today."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tds.environment import ROOT

APP: Final = ROOT / "src" / "tds"
PO: Final = Path("locale/pt_BR/LC_MESSAGES/django.po")
PLACEHOLDER: Final = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")
GETTEXT: Final = pytest.mark.skipif(
    any(shutil.which(word) is None for word in ("xgettext", "msgfmt", "msgattrib", "msgcat")),
    reason="no gettext: apt-get install gettext",
)


def entries(text: str) -> list[dict[str, str]]:
    """The messages of a .po by their keywords: msgid, msgstr, maybe msgctxt, msgid_plural, msgstr[n]; and `flags`."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        entry: dict[str, str] = {"flags": " ".join(re.findall(r"^#, (.*)$", block, re.MULTILINE))}
        keyword = ""
        for line in block.splitlines():
            match = re.match(r'(?:(msg\w+(?:\[\d\])?) )?"(.*)"$', line)
            if match:
                keyword = match[1] or keyword
                entry[keyword] = entry.get(keyword, "") + match[2]
        if entry.get("msgid"):
            found.append(entry)
    return found


def translations(entry: dict[str, str]) -> list[str]:
    return [text for keyword, text in entry.items() if keyword.startswith("msgstr")]


ENTRIES: Final = entries((APP / PO).read_text(encoding="utf-8"))


def test_every_sentence_is_translated_and_none_by_a_guess() -> None:
    assert len(ENTRIES) > 150
    for entry in ENTRIES:
        assert translations(entry), entry
        assert all(translations(entry)), entry
        assert "fuzzy" not in entry["flags"], entry


def test_a_translation_fills_in_what_the_original_fills_in() -> None:
    for entry in ENTRIES:
        wanted = set(PLACEHOLDER.findall(entry["msgid"]))
        for text in translations(entry):
            assert set(PLACEHOLDER.findall(text)) == wanted, entry


def test_a_translation_ends_as_the_original_does() -> None:
    for entry in ENTRIES:
        for text in translations(entry):
            for mark in (".", "…", ":", "?", " "):
                assert entry["msgid"].endswith(mark) == text.endswith(mark), entry
            assert entry["msgid"][0].isspace() == text[0].isspace(), entry


def test_no_sentence_is_there_twice() -> None:
    ids = [(entry.get("msgctxt"), entry["msgid"]) for entry in ENTRIES]
    assert len(ids) == len(set(ids))


@GETTEXT
def test_gettext_itself_has_no_complaint(tmp_path: Path) -> None:
    words = ["msgfmt", "--check-format", "--check-domain", "--output-file", str(tmp_path / "out.mo"), str(APP / PO)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


@GETTEXT
def test_the_sources_say_nothing_that_is_not_collected(tmp_path: Path) -> None:
    """`make messages` on a copy finds what is there: nothing new, nothing that nobody says any more."""
    copy = tmp_path / "tds"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    words = ["-m", "django", "makemessages", "--locale", "pt_BR", "--no-location", "--no-obsolete"]
    # By itself: with settings it would look for their apps as well.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, check=True)

    def said(listed: list[dict[str, str]]) -> set[tuple[str | None, str, str | None]]:
        return {(entry.get("msgctxt"), entry["msgid"], entry.get("msgid_plural")) for entry in listed}

    assert said(entries((copy / PO).read_text(encoding="utf-8"))) == said(ENTRIES)


def test_the_look_at_a_po_reads_what_gettext_writes() -> None:
    text = (
        '#, fuzzy, python-format\nmsgctxt "a"\nmsgid ""\n"one "\n"%(n)d"\nmsgid_plural "x"\n'
        'msgstr[0] "um"\nmsgstr[1] ""\n'
    )
    [entry] = entries('msgid ""\nmsgstr "header"\n\n' + text)
    assert (entry["msgctxt"], entry["msgid"], entry["flags"]) == ("a", "one %(n)d", "fuzzy, python-format")
    assert translations(entry) == ["um", ""]
