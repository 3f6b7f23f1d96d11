"""The page of a box: its labels, to look at on a phone and to print. Files of their own that need nothing beside them.

It is passed around with the box, so no network's name or password is on it, and no key.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from django.utils import translation
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _

from tds.identity.factory.box import Entry
from tds.identity.factory.unit_folder import IMAGE

UNITS_A_PAGE: Final = 500  # 1.5 MB, which a phone shows and a printer takes
LANGUAGES: Final = {"pt-BR": "Português", "en": "English"}
STYLE: Final = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
SCRIPT: Final = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


class Words:
    """Sentences in one language, or in all, of which the browser shows its own."""

    def __init__(self, language: str) -> None:
        self.languages = (language,) if language else tuple(LANGUAGES)

    def say(self, msgid: str, **values: object) -> str:
        """The translation as HTML; values are filled in escaped."""
        return self.each(lambda: gettext(msgid), values)

    def units(self, number: int) -> str:
        return self.each(lambda: ngettext("%(number)s unit", "%(number)s units", number), {"number": number})

    def each(self, translated: Callable[[], str], values: Mapping[str, object]) -> str:
        shown = {name: escape(str(value)) for name, value in values.items()}
        said = []
        for language in self.languages:
            with translation.override(language.lower()):
                text = escape(translated(), quote=False) % shown
            said.append(text if len(self.languages) == 1 else f'<span lang="{language}">{text}</span>')
        return "".join(said)


def pages(
    box: str, entries: Sequence[Entry], label: Callable[[str], str], *, language: str, made_at: datetime
) -> Iterator[tuple[str, str]]:
    """File names and contents, one after the other. `label` gives a unit's SVG; `language` "" is the browser's."""
    words = Words(language)
    parts = [entries[start : start + UNITS_A_PAGE] for start in range(0, len(entries), UNITS_A_PAGE)] or [entries]
    head = _head(words, box, entries, made_at)
    for number, part in enumerate(parts, start=1):
        units = "".join(_units(words, part, label))
        body = f'{head}{_navigation(words, number, len(parts))}<main><ul class="units">{units}</ul></main>'
        yield page_name(number), _page(words, box, body)


def page_name(number: int) -> str:
    return "index.html" if number == 1 else f"index-{number}.html"


def _page(words: Words, box: str, body: str) -> str:
    policy = (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html>\n<html lang="{words.languages[0]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(box)} · TDS</title><style>{STYLE}</style></head>"
        f"<body>{body}<script>{SCRIPT}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _head(words: Words, box: str, entries: Sequence[Entry], made_at: datetime) -> str:
    families = Counter(entry["family"] for entry in entries)
    unknown = words.say(_("of no family"))
    kinds = [f"{count} {escape(family) or unknown}" for family, count in sorted(families.items())]
    made = words.say(_("made on %(when)s"), when=f"{made_at:%Y-%m-%d %H:%M} UTC")
    about = " · ".join([words.units(len(entries)), *kinds, made])
    switch = "".join(
        f'<button type="button" data-language="{language}" lang="{language}" aria-pressed="false">{name}</button>'
        for language, name in LANGUAGES.items()
        if len(words.languages) > 1
    )
    steps = "".join(
        f"<li>{words.say(step, image=IMAGE)}</li>"
        for step in (
            _("Write each unit's %(image)s into its partition fctry."),
            _("Stick its label on it, and scan it to compare."),
            _("When the whole box is written and tested, delete the folder or lock it away."),
        )
    )
    secret = words.say(
        _("The folders beside this page hold private keys and passwords of networks. This page itself holds none.")
    )
    find = words.say(_("Find a unit"))
    return (
        f'<header><div class="head"><h1>{escape(box)}</h1><div class="language">{switch}</div></div>'
        f'<p class="about">{about}</p>'
        f'<div class="steps"><p>{secret}</p><ol>{steps}</ol></div>'
        f'<div class="tools"><label class="find">{find}<input id="find" type="search" '
        'autocomplete="off"></label><output id="found" for="find"></output></div></header>'
    )


def _navigation(words: Words, number: int, last: int) -> str:
    if last == 1:
        return ""
    links = "".join(
        f'<li><a href="{page_name(each)}"{" aria-current=page" if each == number else ""}>{each}</a></li>'
        for each in range(1, last + 1)
    )
    title = words.say(_("Pages"))
    return f'<nav class="pages"><p>{title}</p><ul>{links}</ul></nav>'


def _units(words: Words, entries: Sequence[Entry], label: Callable[[str], str]) -> Iterator[str]:
    names = {
        "tenant": words.say(_("Tenant")),
        "site": words.say(_("Site")),
        "broker": words.say(_("Broker")),
        "apn": "APN",
        "not_after": words.say(_("Certificate until")),
        "serial": words.say(_("Serial number")),
    }
    # Not within the f-strings: there the collector of messages does not see them.
    written, tested = words.say(_("written")), words.say(_("tested"))
    for entry in entries:
        facts = entry | {"not_after": entry["not_after"][:10]}
        rows = "".join(f"<dt>{name}</dt><dd>{escape(facts[key])}</dd>" for key, name in names.items() if facts[key])
        sought = " ".join(entry[key] for key in ("code", "tenant", "site", "family", "hardware")).lower()
        yield (
            f'<li class="unit" data-words="{escape(sought)}"><h2>{escape(entry["code"])}</h2>{label(entry["code"])}'
            f'<dl class="facts">{rows}</dl><p class="ticks">☐ {written} ☐ {tested}</p></li>'
        )
