"""Who is on a revocation list and from when it holds; who is cut off how often; what `tds status` makes of it."""

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tds.identity.access import broker_files, broker_process, canary
from tds.identity.access.broker_files import Access
from tds.identity.access.held_back import EVERY_S, HELD_S, MAX_AT_ONCE, Held, HeldBack
from tds.identity.authorities import crl, keys
from tds.identity.authorities.authority import BACKDATED, Authority
from tds.identity.authorities.crl import Reason, Revoked
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.tls_files import DEVICE_ANCHORS, REVOKED
from tds.identity.revocation import listed, lists_in_force
from tds.identity.revocation.listed import Change, Listed, Standing
from tds.identity.revocation.lists_in_force import Broker, List

NOW = datetime(2026, 3, 1, 12, 0, 0, 400_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = AuthorityFolder(tmp_path_factory.mktemp("ca"))
    folder.init(NOW)
    return folder.device()


def standing(status: str = "active", **fields: Any) -> Standing:
    return Standing(1, "device-1", f"{0xABC:040x}", status)._replace(**fields)


# Who is on a list


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (standing(), None),
        (standing("disabled"), Reason.certificate_hold),
        (standing("retired"), Reason.cessation_of_operation),
        (standing(revoked_at=NOW, reason="keyCompromise"), Reason.key_compromise),
        (standing("disabled", revoked_at=NOW, reason="superseded"), Reason.superseded),
        (standing(revoked_at=NOW, reason=""), Reason.unspecified),
        (standing(revoked_at=NOW, reason="whatever somebody wrote"), Reason.unspecified),
        (standing(revoked_at=NOW, reason="removeFromCRL"), Reason.unspecified),
    ],
)
def test_a_certificate_is_refused_when_it_is_revoked_or_its_gateway_is_not_active(
    state: Standing, reason: Reason | None
) -> None:
    assert listed.is_refused(state) is (reason is not None)
    found = listed.entries([state], NOW)
    assert found == ([] if reason is None else [Revoked(0xABC, NOW, reason)])


def test_a_list_changes_by_those_that_it_lacks_and_those_that_may_come_in_again() -> None:
    states = [
        standing("disabled", id=1),
        standing("disabled", id=2, listed_in=7),
        standing(id=3, listed_in=7),
        standing(id=4),
        standing(id=5, revoked_at=NOW, listed_in=7),
    ]
    assert listed.change(states) == Change(added=[1], dropped=[3])
    assert not listed.change(states[3:])


# From when it holds


def last(this_update: datetime) -> Listed:
    return Listed("device-1", this_update, "anchor", "canary")


NOTHING = Change([], [])


def test_a_list_is_signed_when_something_changed_each_day_and_when_there_is_none() -> None:
    assert listed.is_due(None, NOTHING, NOW)
    assert listed.is_due(last(NOW), Change([1], []), NOW)
    assert listed.is_due(last(NOW), Change([], [1]), NOW)
    assert not listed.is_due(last(NOW), NOTHING, NOW + DAY - SECOND)
    assert listed.is_due(last(NOW), NOTHING, NOW + DAY)


def test_a_clock_that_was_set_back_behind_the_last_list_has_another_signed_at_once() -> None:
    """Servers refuse everybody while a list is not valid yet."""
    then = NOW - timedelta(hours=1)
    assert listed.is_due(last(NOW), NOTHING, then)
    assert listed.this_update(then, NOW) <= then


def test_each_list_is_later_than_the_last_by_whole_seconds_and_never_in_the_future() -> None:
    """Of two lists with the same second OpenSSL takes either."""
    moments = [NOW + timedelta(milliseconds=400 * n) for n in range(500)]
    found: list[datetime] = []
    for now in moments:
        found.append(listed.this_update(now, found[-1] if found else None))
    assert found[0] == (NOW - BACKDATED).replace(microsecond=0)
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(begins.microsecond == 0 for begins in found)
    assert all(begins <= now for begins, now in zip(found, moments, strict=True))


def test_a_small_step_back_of_the_clock_still_gives_a_later_list() -> None:
    before = listed.this_update(NOW, None)
    assert listed.this_update(NOW - timedelta(minutes=2), before) == before + SECOND


def test_a_list_lasts_long_enough_to_mend_the_worker() -> None:
    assert listed.next_update(NOW) - NOW > timedelta(days=29, hours=23)


# What is in it


def test_a_list_of_thousands_is_signed_in_one_go_and_names_them_all(authority: Authority) -> None:
    refused = [Revoked(serial, NOW, Reason.certificate_hold) for serial in range(1, 20_001)]
    signed = crl.sign(authority, refused, number=7, now=NOW, next_update=NOW + DAY)
    assert len(signed) == 20_000
    assert signed.is_signature_valid(authority.key.public_key())
    entry = signed.get_revoked_certificate_by_serial_number(20_000)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is Reason.certificate_hold
    assert signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7


def test_an_entry_without_a_reason_has_none_in_the_list(authority: Authority) -> None:
    signed = crl.sign(authority, [Revoked(1, NOW, Reason.unspecified)], number=1, now=NOW, next_update=NOW + DAY)
    entry = signed.get_revoked_certificate_by_serial_number(1)
    assert entry is not None
    assert len(entry.extensions) == 0


# The canary


def test_a_canary_serves_for_its_own_authority_and_until_well_before_its_end(authority: Authority) -> None:
    made = canary.make(authority, NOW)
    assert canary.usable(made, authority, NOW)
    assert not canary.usable(made, authority, NOW + timedelta(days=397 - 59))
    assert not canary.usable(made, authority, NOW - timedelta(hours=1))  # the clock was wrong when it was made
    assert not canary.usable("", authority, NOW)
    other = canary.make(Authority("device-2", authority.certificate, authority.anchor, keys.new_key()), NOW)
    assert not canary.usable(other, authority, NOW)


def test_a_canary_has_no_name_that_a_gateway_could_have(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(canary.make(authority, NOW).encode())
    assert certificate.subject.rfc4514_string() == "CN=_canary"
    assert canary.entry(canary.make(authority, NOW)).reason is Reason.cessation_of_operation


# Connections that were held back


def judged(held_back: HeldBack, found: list[Held], now: float) -> list[str]:
    codes = held_back.turn(now)
    cut = held_back.judge(codes, {held.code: held for held in found}, now)
    held_back.cut(codes, now)
    return cut


def test_who_was_cut_off_is_cut_off_again_until_no_connection_from_before_can_be_left() -> None:
    held_back = HeldBack()
    held_back.add(["GW-1"], 0.0, revision=7)
    refused = [Held("GW-1", refused=True, good=False)]
    assert judged(held_back, refused, 1.0) == []
    cuts = [now / 2 for now in range(2, 400) if judged(held_back, refused, now / 2)]
    assert cuts[0] == EVERY_S
    assert max(later - earlier for earlier, later in pairwise(cuts)) <= EVERY_S
    assert HELD_S <= cuts[-1] < HELD_S + EVERY_S
    assert not held_back.waiting


def test_who_is_enabled_again_is_not_cut_off_any_more() -> None:
    held_back = HeldBack()
    held_back.add(["GW-1"], 0.0, revision=7)
    assert judged(held_back, [Held("GW-1", refused=False, good=True)], EVERY_S) == []
    assert not held_back.waiting
    held_back.add(["GW-2"], 10.0, revision=7)
    assert judged(held_back, [], 20.0) == []
    assert not held_back.waiting


def test_a_new_owner_of_the_code_is_left_alone_until_the_time_is_over() -> None:
    held_back = HeldBack()
    held_back.add(["GW-1"], 0.0, revision=7)
    both = [Held("GW-1", refused=True, good=True)]
    assert [now for now in range(1, 200) if judged(held_back, both, float(now))] == [int(HELD_S)]


def test_who_is_put_out_again_and_again_is_waited_for_each_time_and_holds_nothing_older_up() -> None:
    """Whoever can toggle one gateway could keep any code of the platform from being given to another tenant."""
    held_back, unsettled = HeldBack(), []
    for n in range(10):
        held_back.add(["GW-1"], n * 0.9 * HELD_S, revision=7 + n)
        unsettled.append(held_back.unsettled)
        judged(held_back, [Held("GW-1", refused=True, good=False)], n * 0.9 * HELD_S + HELD_S / 2)
    assert unsettled == [7, 7, *range(8, 16)]
    assert len(held_back.waiting["GW-1"]) <= 2


def test_a_cut_that_the_broker_did_not_answer_to_is_not_the_last_one() -> None:
    held_back = HeldBack()
    held_back.add(["GW-1"], 0.0, revision=7)
    refused = {"GW-1": Held("GW-1", refused=True, good=False)}
    for over in (HELD_S, HELD_S + EVERY_S):
        assert held_back.judge(held_back.turn(over), refused, over) == ["GW-1"]  # and then it is not cut
    assert held_back.unsettled == 7


def test_of_very_many_each_gets_its_turn() -> None:
    held_back = HeldBack()
    codes = [f"GW-{n}" for n in range(3 * MAX_AT_ONCE)]
    held_back.add(codes, 0.0, revision=7)
    found = [Held(code, refused=True, good=False) for code in codes]
    rounds = [judged(held_back, found, n * EVERY_S) for n in range(1, 4)]
    assert all(len(each) == MAX_AT_ONCE for each in rounds)
    assert sorted(code for each in rounds for code in each) == sorted(codes)


# The broker's files and process


def access(revision: int, **files: bytes) -> Access:
    return Access(revision, {DEVICE_ANCHORS: files.get("anchors", b"a"), REVOKED: files.get("revoked", b"r")}, ())


def test_only_what_differs_is_written_and_a_mark_says_what_is_in_force(tmp_path: Path) -> None:
    first, second = access(1), access(2, revoked=b"other")
    assert broker_files.differing(tmp_path, first) == [DEVICE_ANCHORS, REVOKED]
    assert broker_files.marked(tmp_path) == (broker_files.UNKNOWN, "")
    broker_files.put(tmp_path, first, [DEVICE_ANCHORS, REVOKED])
    broker_files.mark(tmp_path, first)
    assert broker_files.differing(tmp_path, first) == []
    assert broker_files.marked(tmp_path) == first.mark
    assert broker_files.differing(tmp_path, second) == [REVOKED]
    broker_files.mark_begun(tmp_path)
    assert broker_files.marked(tmp_path) == (1, "")
    (tmp_path / broker_files.MARK).write_text("{")
    assert broker_files.marked(tmp_path) == (broker_files.UNKNOWN, "")


def test_a_file_that_can_not_be_written_whole_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker_files.put(tmp_path, access(1), [REVOKED])

    def no_room(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space"):
        broker_files.put(tmp_path, access(2, revoked=b"new"), [REVOKED])
    assert (tmp_path / REVOKED).read_bytes() == b"r"
    assert [path.name for path in tmp_path.iterdir()] == [REVOKED]


@pytest.mark.parametrize("contents", ["", "x", "0", "-1", "99999999999999999999999", str(2**22 + 1)])
def test_a_pid_file_that_leads_to_nobody_is_a_broker_that_does_not_run(tmp_path: Path, contents: str) -> None:
    path = tmp_path / "mosquitto.pid"
    path.write_text(contents)
    assert broker_process.find(path) is None
    assert broker_process.find(tmp_path / "none") is None


def test_somebody_else_who_got_the_pid_of_a_broker_that_was_killed_is_not_signalled(tmp_path: Path) -> None:
    path = tmp_path / "mosquitto.pid"
    path.write_text(str(os.getpid()))
    assert broker_process.find(path) is None
    assert not broker_process.reload(broker_process.BrokerProcess(os.getpid(), 1))


# What `tds status` makes of it


FRESH = List("device-1", 7, listed.next_update(NOW))


def verdict(
    lists: list[List], brokers: list[Broker], trouble: str = "", now: datetime = NOW
) -> tuple[bool | None, str]:
    found = lists_in_force.judge(lists, brokers, 3, trouble, now=now)
    assert found.action or found.well
    return found.well, found.detail


def test_lists_that_are_in_force_everywhere_are_well() -> None:
    told = verdict([FRESH], [Broker("broker", 7, ""), Broker("broker-2", 8, "")])
    assert told == (True, "3 certificates are refused: revision 7 is in force on broker, broker-2, for 29 days.")


def test_a_list_that_was_never_signed_or_ran_out_is_said_with_why() -> None:
    assert verdict([], []) == (False, "No revocation list was signed yet.")
    assert verdict([], [], "There is no authority.") == (False, "There is no authority.")
    well, detail = verdict([FRESH], [Broker("broker", 7, "")], now=NOW + timedelta(days=30))
    assert (well, "ran out at 2026-03-31" in detail, "no gateway is let in" in detail) == (False, True, True)


def test_a_list_that_nobody_signs_any_more_is_a_warning_long_before_it_runs_out() -> None:
    well, detail = verdict([FRESH], [Broker("broker", 7, "")], now=NOW + timedelta(days=24))
    assert (well, "runs out in 5 days" in detail) == (None, True)
    assert verdict([FRESH], [Broker("broker", 7, "")], "The key can't be read.")[0] is None


def test_a_broker_that_is_behind_is_said_unless_it_is_about_to_catch_up() -> None:
    brokers = [Broker("broker", 6, ""), Broker("broker-2", 7, "")]
    assert verdict([FRESH], brokers, now=NOW + 5 * SECOND)[0] is True
    well, detail = verdict([FRESH], brokers, now=NOW + 15 * SECOND)
    assert (well, detail) == (False, "Who was put out of late may still get in. broker: it is behind.")
    well, detail = verdict([FRESH], [Broker("broker", 7, "The broker does not run.")])
    assert (well, detail.endswith("broker: The broker does not run.")) == (False, True)
