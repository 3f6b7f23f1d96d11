"""What the documents say is there: variables, reasons, commands, links."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import typer

from tds.cli import app
from tds.environment import ROOT
from tds.ingest.messages import Refusal
from tds.ingest.reasons import Reason
from tds.ingest.wire import judge

DOCUMENTS: Final = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
)
READMES: Final = [ROOT / "README.md", ROOT / "README.pt-BR.md"]
DECISIONS: Final = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


def text_of(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def first_cells(path: str) -> set[str]:
    """The words in backticks that begin a row of a table."""
    return set(re.findall(r"^\| `(\w+)`", text_of(path), re.MULTILINE))


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(path: Path) -> list[str]:
    """The shell blocks, without what is in the reader's language: comments and the password."""
    found = re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return [re.sub(r" +#.*$|(?<=^echo ).*(?= \|)", "", block, flags=re.MULTILINE) for block in found]


def commands_of(command: object) -> dict[str, object]:
    """Of a group of commands; empty for a command."""
    commands: dict[str, object] = getattr(command, "commands", {})
    return commands


def python_tests(folder: str = "") -> set[str]:
    """Of files anywhere below `tests`, or in folders of that name there."""
    files = (ROOT / "tests").rglob(f"{folder}/test_*.py" if folder else "test_*.py")
    return {name for file in files for name in re.findall(r"^def (test_\w+)", text_of(file), re.MULTILINE)}


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    read = set(re.findall(r'"(TDS_[A-Z_]+)"', text_of("src/tds/environment.py")))
    assert first_cells("docs/configuration.md") == read


def test_every_reason_is_documented_in_the_order_of_the_rules() -> None:
    table = text_of("docs/wire-format.md").partition("| reason |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [reason.value for reason in Reason]


def test_every_example_of_a_refusal_is_refused_for_that_reason() -> None:
    text = text_of("docs/wire-format.md")
    message = text.partition("```json\n")[2].partition("}\n```")[0]
    examples = [
        (reason, fields)
        for reason, cell in re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", text, re.MULTILINE)
        for fields in re.findall(r"`(\".+?)`", cell)
    ]
    assert len(examples) > 10
    for reason, fields in examples:
        # Of a key given twice the last one counts, so the example takes the place of what the message has there.
        verdict = judge(
            "telemetry/GW-TEST-001/D01/data",
            f"{message}, {fields}}}".encode(),
            now=datetime(2026, 2, 18, 18, 30, tzinfo=UTC),
            retention=timedelta(days=90),
        )
        assert isinstance(verdict, Refusal), fields
        assert verdict.reason == reason, fields


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), f"{document.name} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    commands = commands_of(typer.main.get_command(app))
    for words in re.findall(r"\./tds ([a-z]+(?: [a-z][a-z-]*)?)", text):
        name, _, sub = words.partition(" ")
        assert name in commands, f"./tds {words}"
        if sub and commands_of(commands[name]):
            assert sub in commands_of(commands[name]), f"./tds {words}"


def test_every_test_that_a_document_names_exists() -> None:
    """A claim that a threat is stopped stands on a test."""
    named = {name for document in DOCUMENTS for name in re.findall(r"`(test_\w+)`", text_of(document))}
    assert len(named) > 40
    assert not named - python_tests()


def test_every_attack_on_updates_is_in_the_table_and_every_test_of_the_table_exists() -> None:
    """Those of the server and of the programs in Python, those of the devices' core in C."""
    table = text_of("docs/firmware-updates.md").partition("| attack, or accident |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z]\w*_\w+)`", row)}
    files = (ROOT / "firmware/tests").rglob("test_*.c")
    fact = re.compile(r"^static void (\w+)\(void \*\*state\)", re.MULTILINE)
    in_c = {name for file in files for name in fact.findall(text_of(file))}
    assert len(named) > 80
    assert named - python_tests() - in_c == set()
    attacks = {name for name in python_tests("updates") if name.startswith("test_attack_")}
    assert attacks - named == set()


def test_both_readmes_show_the_same_commands_under_as_many_headings() -> None:
    english, portuguese = (blocks(path) for path in READMES)
    assert english
    assert english == portuguese
    assert len({len(re.findall(r"^#+ ", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in READMES}) == 1


def test_every_decision_is_listed_and_has_the_parts_of_the_template() -> None:
    index, template = text_of("docs/decisions/index.md"), text_of("docs/decisions/template.md")
    parts = re.findall(r"^\*\*(\w+)\.\*\*", template, re.MULTILINE)
    assert len(parts) == 4
    for decision in DECISIONS:
        number = int(decision.name[:4])
        text = decision.read_text(encoding="utf-8")
        title = text.splitlines()[0].removeprefix("# ")
        assert title.startswith(f"{number:04d} ")
        assert f"[{number:04d}]({decision.name}) {title[5:]}\n" in index
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == parts
        assert re.search(r"^Status: (accepted|replaced by \[\d{4}\]\(.+\)), \d{4}-\d\d-\d\d$", text, re.MULTILINE)
