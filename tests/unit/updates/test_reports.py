"""What is a report, and what is refused: byte for byte as docs/firmware-updates.md has it."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.updates.executions.orders import MAX_FORMER, Order, is_newer, leave
from tds.updates.executions.reports import MAX_REPORT_BYTES, Refusal, Report, read, reason_of
from tds.updates.executions.statuses import Reason
from tests.executing import OLD, as_bytes, claim, report, running

GW = "GW-001"


def good(**fields: Any) -> dict[str, Any]:
    return report(GW, 12, 3, running(), claim("e-1", phase="downloading", bytes=65_536)) | fields


def refused(document: Any) -> str:
    found = read(GW, document if isinstance(document, bytes) else as_bytes(document))
    assert isinstance(found, Refusal)
    return found.sentence


def taken(document: Any) -> Report:
    found = read(GW, as_bytes(document))
    assert isinstance(found, Report), found
    return found


def test_the_example_of_the_document_is_a_report() -> None:
    text = (Path(__file__).parents[3] / "docs" / "firmware-updates.md").read_text(encoding="utf-8")
    example = next(block for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"life"' in block)
    found = read(GW, example.replace("…", OLD, 1).replace("…", "e-1").encode())
    assert isinstance(found, Report), found
    assert found.execution is not None
    assert (found.order, found.running.slot, found.execution.bytes) == (Order("5f0c2a91", 12, 3), 0, 65_536)


def test_a_gateway_may_know_no_time_and_have_no_execution() -> None:
    found = taken(good(time=None, execution=None))
    assert (found.time, found.execution) == (None, None)


def test_a_program_without_slots_does_not_know_the_hash_of_what_runs() -> None:
    assert taken(good(running=running() | {"sha256": ""}, execution=None)).running.sha256 == ""


def test_a_refusal_of_a_command_that_is_not_of_this_platform_is_taken() -> None:
    name = "e." * 32
    found = taken(good(execution=claim(name, "REJECTED", reason="signature_invalid")))
    assert found.execution is not None
    assert found.execution.execution_id == name


def test_what_a_later_version_says_beside_is_ignored() -> None:
    taken(good(more={"of": ["it"]}, running=running(heap=1)))


@pytest.mark.parametrize("name", ["gateway_code", "life", "boot", "number", "time", "running", "execution"])
def test_a_report_without_a_member_is_refused(name: str) -> None:
    document = good()
    del document[name]
    assert name in refused(document)


@pytest.mark.parametrize("name", list(running()))
def test_what_runs_is_told_whole_or_refused(name: str) -> None:
    document = good()
    del document["running"][name]
    assert name in refused(document)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("life", "5F0C2A91"),
        ("life", "5f0c2a9"),
        ("life", "5f0c2a91\n"),
        ("boot", -1),
        ("boot", 1.5),
        ("boot", "12"),
        ("boot", True),
        ("number", 2**53),
        ("number", 10**40),
        ("time", -1),
        ("time", 253_402_300_800),
        ("gateway_code", 7),
        ("running", None),
        ("running", running() | {"sha256": "0" * 63}),
        ("running", running() | {"sha256": OLD.upper()}),
        ("running", running() | {"version": ""}),
        ("running", running() | {"version": "1" * 32}),
        ("running", running() | {"version": "1.0\u0000"}),
        ("running", running() | {"family": "dcu\u202e"}),
        ("running", running() | {"slot": 16}),
        ("running", running() | {"counter": 2**31}),
        ("running", running() | {"confirmed": 1}),
        ("execution", []),
        ("execution", claim("e-1", phase="downloading", detail="x" * 201)),
        ("execution", claim("e-1", phase="downloading", detail="a\nb")),
        ("execution", claim("", phase="downloading")),
        ("execution", claim("e" * 65, phase="downloading")),
        ("execution", claim("e 1", phase="downloading")),
        ("execution", claim("e-1", phase="")),
        ("execution", claim("e-1", phase="sleeping")),
        ("execution", claim("e-1", "QUEUED")),
        ("execution", claim("e-1", "REMOVED")),
        ("execution", claim("e-1", "FAILED")),
        ("execution", claim("e-1", "REJECTED")),
        ("execution", claim("e-1", phase="downloading", bytes=-1)),
    ],
)
def test_a_member_out_of_bounds_is_refused(name: str, value: Any) -> None:
    sentence = refused(good(**{name: value}))
    assert sentence.endswith(".")
    assert len(sentence) < 400


def test_a_report_of_another_gateway_is_refused() -> None:
    found = read("GW-002", as_bytes(good()))
    assert isinstance(found, Refusal)
    assert found.other_gateway
    assert "'GW-001'" in found.sentence
    assert "'GW-002'" in found.sentence


def test_a_report_of_more_bytes_than_it_may_have_is_refused() -> None:
    payload = as_bytes(good())
    assert isinstance(read(GW, payload + b" " * (MAX_REPORT_BYTES - len(payload))), Report)
    assert str(MAX_REPORT_BYTES) in refused(payload + b" " * (MAX_REPORT_BYTES - len(payload) + 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 2_000,
        b'{"a":' * 400,
        as_bytes(good())[:-1],
        as_bytes(good()) + b"}",
        as_bytes(good()).replace(b'"detail": ""', b'"detail": "\xff"'),
        as_bytes(good()).replace(b'"detail": ""', b'"detail": "\\ud800"'),
        as_bytes(good(more="x")).replace(b'"x"', b'"\xff"'),
        as_bytes(good()).replace(b'"boot": 12', b'"boot": NaN'),
    ],
)
def test_arbitrary_bytes_are_refused(payload: bytes) -> None:
    refused(payload)


@given(st.binary(max_size=MAX_REPORT_BYTES + 10))
def test_no_bytes_whatever_raise(payload: bytes) -> None:
    assert isinstance(read(GW, payload), Refusal)


@given(st.data())
def test_no_flipped_byte_raises(data: st.DataObject) -> None:
    payload = bytearray(as_bytes(good()))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    read(GW, bytes(payload))


def test_success_is_a_word_that_a_gateway_may_say() -> None:
    taken(good(execution=claim("e-1", "SUCCEEDED")))


def test_a_reason_of_a_later_version_is_the_gateways_own() -> None:
    found = taken(good(execution=claim("e-1", "FAILED", reason="battery_low", detail="3.1 V"))).execution
    assert found is not None
    assert reason_of(found) == (Reason.LOCAL_FAULT, "battery_low: 3.1 V")


def test_a_report_of_the_largest_members_fits() -> None:
    runs = running(version="1" * 31, boot_reason="b" * 32, family="f" * 31, hardware="h" * 31, chip="c" * 31)
    told = claim("e" * 36, "FAILED", "confirming", "signature_invalid", detail="d" * 200, bytes=2**53 - 1)
    assert len(json.dumps(report("G" * 64, 2**53 - 1, 2**53 - 1, runs, told))) < MAX_REPORT_BYTES


# Their order


A, B, C = "aaaaaaaa", "bbbbbbbb", "cccccccc"


def test_reports_are_in_the_order_of_start_and_number() -> None:
    orders = [Order(A, 1, 2), Order(A, 1, 3), Order(A, 2, 0)]
    for earlier, later in pairwise(orders):
        assert is_newer(later, earlier, ())
        assert not is_newer(earlier, later, ())
        assert not is_newer(later, later, ())


def test_a_new_life_is_newer_and_a_copy_of_the_former_one_is_not() -> None:
    former = leave((), Order(A, 900, 7), Order(B, 1, 1))
    assert is_newer(Order(B, 1, 1), Order(A, 900, 7), ())
    assert not is_newer(Order(A, 900, 7), Order(B, 1, 1), former)
    assert not is_newer(Order(A, 899, 99), Order(B, 1, 1), former)


def test_a_life_that_was_taken_for_a_former_one_comes_back_with_its_next_report() -> None:
    former = leave((), Order(B, 1, 1), Order(A, 900, 7))  # the late one of A came as the last
    assert is_newer(Order(B, 1, 2), Order(A, 900, 7), former)


def test_no_more_lives_are_remembered_than_their_bound() -> None:
    former: tuple[Order, ...] = ()
    for number in range(20):
        former = leave(former, Order(f"{number:08x}", 1, 1), Order(f"{number + 1:08x}", 1, 1))
    assert len(former) == MAX_FORMER
    assert Order(f"{19:08x}", 1, 1) in former


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_an_order_is_read_back_as_it_was_written(boot: int, number: int) -> None:
    order = Order(A, boot, number)
    assert Order.of(str(order)) == order
    assert len(str(order)) <= 48
