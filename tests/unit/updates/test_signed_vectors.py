"""The vectors under testdata/updates, which the firmware's tests read too."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from tds.updates.signed import manifest, ticket, trust
from tds.updates.signed.keys import PublicKey
from tds.updates.signed.refusal import DocumentRefusedError
from tests.update_vectors import FOLDER, documents

GROUPS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
CASES: Final = [(group, case) for group, content in GROUPS.items() for case in content["cases"]]
NAMES: Final = [f"{group}: {case['case']}" for group, case in CASES]


def text_of(case: dict[str, Any]) -> str:
    return "".join(
        (part["text"] if "text" in part else bytes.fromhex(part["hex"]).decode()) * part.get("times", 1)
        for part in case["jws"]
    )


def roots_of(group: str) -> list[PublicKey]:
    return [PublicKey.from_text(text) for text in GROUPS[group]["roots"].split(",")]


def now_of(case: dict[str, Any]) -> datetime | None:
    return None if case["now"] is None else datetime.fromtimestamp(case["now"], UTC)


def read(group: str, case: dict[str, Any]) -> msgspec.Struct:
    now, text = now_of(case), text_of(case)
    if group == "trust":
        there = trust.read(case["there"], roots_of(group), None) if case["there"] else None
        return trust.read(text, roots_of(group), now, former=there)
    trusted = trust.read(GROUPS[group]["trust"], roots_of(group), None)
    if now is None:
        pytest.skip("The platform always knows the time.")
    if case["kind"] == "ticket":
        return ticket.read(text, trusted, now)
    return manifest.read(text, trusted, now)[0]


def verdict_on(group: str, case: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"accepted": msgspec.to_builtins(read(group, case))}
    except DocumentRefusedError as refused:
        return {"refused": refused.reason.value}


@pytest.mark.parametrize(("group", "case"), CASES, ids=NAMES)
def test_the_verdict_is_the_one_in_the_vectors(group: str, case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("accepted", "refused") if key in case}

    found = verdict_on(group, case)

    if "accepted" in found:
        found = json.loads(json.dumps(found))  # lists for tuples
    if case.get("by_devices"):
        assert "accepted" in found or found == expected  # a device has less memory
    else:
        assert found == expected


def test_the_vectors_are_as_they_are_written() -> None:
    """Change tests/forged_*.py, and then: python -m tests.update_vectors."""
    assert {name.removesuffix(".json") for name in documents()} == set(GROUPS)
    for name, text in documents().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text


def test_the_vectors_can_be_read_from_c() -> None:
    for path in FOLDER.glob("*.json"):
        assert "\\u0000" not in path.read_text(encoding="utf-8").replace("\\\\", "")
