"""The vectors under testdata/wire, which the firmware's tests read too."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tds.ingest import wire
from tds.ingest.reasons import Reason
from tds.ingest.wire import Message, Refusal, judge, judge_body

FOLDER: Final = Path(__file__).parents[2] / "testdata" / "wire"
REASONS_OF_BYTES: Final = list(Reason)[: list(Reason).index(Reason.UNKNOWN_GATEWAY)]
GROUPS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
CASES: Final = [(group, case) for group, content in GROUPS.items() for case in content["cases"]]
NAMES: Final = [f"{group}: {case['case']}" for group, case in CASES]


def payload_of(case: dict[str, Any]) -> bytes:
    return b"".join(
        (part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])) * part.get("times", 1)
        for part in case["payload"]
    )


def verdict_on(group: str, case: dict[str, Any]) -> Message | Refusal:
    now = datetime.fromisoformat(GROUPS[group]["now"])
    retention = timedelta(days=GROUPS[group]["retention_days"])
    if case["topic"] is None:
        return judge_body(payload_of(case), now=now, retention=retention)
    return judge(case["topic"], payload_of(case), now=now, retention=retention)


def as_in_the_vectors(verdict: Message | Refusal) -> dict[str, Any]:
    if isinstance(verdict, Refusal):
        return {"refused": verdict.reason.value}
    return {
        "accepted": {
            "gateway_code": verdict.gateway_code,
            "device_code": verdict.device_code,
            "time": verdict.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0"),  # %Y of year 1 is "1"
            "readings": [[reading.tipo, reading.unidade, reading.valor] for reading in verdict.readings],
        }
    }


@pytest.mark.parametrize(("group", "case"), CASES, ids=NAMES)
def test_the_verdict_is_the_one_in_the_vectors(group: str, case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("accepted", "refused") if key in case}

    assert as_in_the_vectors(verdict_on(group, case)) == expected


@pytest.mark.parametrize(("group", "case"), CASES, ids=NAMES)
def test_the_slow_way_alone_gives_the_same_verdict(
    group: str, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = as_in_the_vectors(verdict_on(group, case))
    monkeypatch.setattr(wire, "_accept_fast", lambda *_: None)

    assert as_in_the_vectors(verdict_on(group, case)) == usual


def test_every_reason_that_bytes_can_give_has_vectors() -> None:
    assert {case["refused"] for _, case in CASES if "refused" in case} == set(REASONS_OF_BYTES)


def test_no_two_cases_have_one_name() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_the_vectors_can_be_read_from_c() -> None:
    for path in FOLDER.glob("*.json"):
        assert "\\u0000" not in path.read_text(encoding="utf-8").replace("\\\\", "")
    for _, case in CASES:
        assert set(case) <= {"case", "topic", "payload", "accepted", "refused"}
        assert ("accepted" in case) != ("refused" in case)
        for part in case["payload"]:
            assert set(part) in ({"text"}, {"hex"}, {"text", "times"}, {"hex", "times"})
