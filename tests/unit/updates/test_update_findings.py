"""What `tds status` says of firmware updates: one fault at a time, each with what to do."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tds.status.update_findings import Facts, Keys, Worker, findings, of_reports, well
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.trust import TrustedKey, TrustSet, Use

NOW: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
RELEASE, ASSIGNMENT, STRANGER = (PrivateKey.new().public for _ in range(3))


def trust(
    set_days: float = 300, release_days: float = 300, assignment_days: float = 300, revoked: tuple[str, ...] = ()
) -> TrustSet:
    keys = (
        TrustedKey.of(RELEASE, Use.RELEASE, NOW - 90 * DAY, NOW + release_days * DAY),
        TrustedKey.of(ASSIGNMENT, Use.ASSIGNMENT, NOW - 90 * DAY, NOW + assignment_days * DAY),
    )
    stamps = int((NOW - 60 * DAY).timestamp()), int((NOW + set_days * DAY).timestamp())
    return TrustSet(3, *stamps, keys, revoked)


KEYS: Final = Keys(trust(), 1, assignment=ASSIGNMENT.kid)
WORKER: Final = Worker(NOW - DAY, {"conducting": NOW - timedelta(seconds=2), "pushing": NOW})
WELL: Final = Facts(
    production=True,
    keys=KEYS,
    published=2,
    lacking=(),
    running=1,
    halted=(),
    halted_since=None,
    lost=(),
    worker=WORKER,
)


def keys(**fields: Any) -> Facts:
    return replace(WELL, keys=replace(KEYS, **fields))


def worker(**fields: Any) -> Facts:
    return replace(WELL, worker=replace(WORKER, **fields))


def lanes(conducting: datetime | None = NOW, pushing: datetime | None = NOW) -> dict[str, datetime | None]:
    return {"conducting": conducting, "pushing": pushing}


def test_while_all_is_well_it_says_what_there_is() -> None:
    assert findings(WELL, now=NOW) == []
    assert well(WELL) == "Trust set 3 until 2027-12-26; 2 releases published, 1 rollout under way."


@pytest.mark.parametrize(
    ("facts", "urgent", "detail", "action"),
    [
        (keys(trust=None), False, "There is no trust set", "as docs/operations.md says"),
        (replace(keys(trust=None), production=False), False, "There is no trust set", "Restart ./tds up"),
        (keys(trust=trust(30)), False, "Trust set 3 ends in 30 days.", "--former"),
        (keys(trust=trust(0.5)), False, "Trust set 3 ends in less than a day.", "./tds trust upload"),
        (keys(trust=trust(-1)), True, "Trust set 3 ended on 2027-02-28", "--former"),
        # Its keys mostly end with it, and --former keeps their end: alone it would make a set of none.
        (keys(trust=trust(-1)), True, "Trust set 3 ended", "--release release.pub --assignment assignment.pub"),
        (replace(keys(trust=trust(-1)), production=False), True, "ended on", "Restart ./tds up"),
        (keys(trust=trust(release_days=1)), False, "The last release key ends in 1 day.", "--release"),
        (keys(trust=trust(release_days=-1)), True, "No release key of trust set 3 is good", "--release"),
        (keys(trust=trust(revoked=(RELEASE.kid,))), True, "No release key of trust set 3 is good", "--release"),
        (keys(trust=trust(assignment_days=7)), False, "key that signs tickets ends in 7 days", "--assignment"),
        (
            keys(trust=trust(assignment_days=-1)),
            True,
            "the key that signs them has ended in trust set 3",
            "--assignment",
        ),
        (
            keys(trust=trust(revoked=(ASSIGNMENT.kid,))),
            True,
            "the key that signs them is revoked by trust set 3",
            "--assignment",
        ),
        (
            keys(assignment=STRANGER.kid),
            True,
            "the key that signs them is not in trust set 3",
            "./tds trust assignment-key",
        ),
        (keys(assignment=RELEASE.kid), True, "the key that signs them is not in trust set 3", "--assignment"),
        (keys(assignment=None), True, "The key that signs tickets is missing", "from the backup"),
        (keys(assignment=None, assignment_trouble="It is a link."), True, "It is a link.", "from the backup"),
        (keys(roots=0), False, "No root key is believed here", "--root root.pub"),
        (keys(revoked_roots=("k1",)), False, "revokes a root key that units provisioned now", "updates/roots"),
        (keys(ahead=("GW-1", "GW-2")), False, "a newer one was reported by 2 gateways: GW-1, GW-2.", "After a restore"),
        (keys(roots=0, roots_trouble="It holds no key."), True, "It holds no key.", "from the backup"),
        (keys(private=("/tds/root.key",)), False, "lies on this server: /tds/root.key.", "shred -u"),
        (replace(WELL, lacking=("dcu 1.1.0",)), True, "The image of 1 published release is lost: dcu 1.1.0.", "upload"),
        (worker(turned_at=lanes(conducting=NOW - 2 * DAY)), True, "conducts no rollout any more", "worker.log"),
        (worker(turned_at=lanes(pushing=None)), True, "pushes no update any more, for 86400 s", "worker.log"),
        (worker(push_trouble="It is full."), False, "could not be pushed: It is full.", "see broker"),
        (worker(passed_over=(7,)), False, "fails again and again: #7.", "worker.log"),
        (replace(WELL, worker=None), False, "Rollouts stand still", "See worker."),
        (
            replace(WELL, halted=(7, 9), halted_since=NOW - timedelta(hours=3)),
            False,
            "2 rollouts halted, the first 3 hours ago: #7, #9.",
            "./tds rollout show 7",
        ),
        (
            replace(WELL, halted=(7,), halted_since=NOW - 5 * DAY),
            False,
            "1 rollout halted, the first 5 days ago: #7.",
            "resume, replace or cancel",
        ),
        (
            replace(WELL, lost=("GW-1", "GW-2", "GW-3", "GW-4")),
            False,
            "4 gateways began to install and did not come back: GW-1, GW-2, GW-3 …",
            "look at each",
        ),
    ],
)
def test_each_fault_is_a_sentence_with_what_to_do(facts: Facts, urgent: bool, detail: str, action: str) -> None:
    [found] = findings(facts, now=NOW)
    assert found.urgent is urgent
    assert detail in found.detail
    assert action in found.action


def test_a_worker_that_has_just_begun_and_one_that_is_not_needed_are_no_fault() -> None:
    assert not findings(worker(started_at=NOW, turned_at=lanes(None, None)), now=NOW)
    assert not findings(replace(WELL, worker=None, running=0), now=NOW)


def test_on_a_desk_the_keys_are_where_they_are_made() -> None:
    assert not findings(replace(keys(private=("/tds/root.key",)), production=False), now=NOW)


def test_what_does_not_work_is_said_first() -> None:
    facts = replace(keys(trust=trust(7)), lacking=("dcu 1.1.0",), halted=(7,))
    assert [found.urgent for found in findings(facts, now=NOW)] == [True, False, False]


def test_refused_reports_are_told_beside_it() -> None:
    assert not of_reports(None)
    assert not of_reports(WORKER)
    told = of_reports(replace(WORKER, taken=1_234, refused=Counter(malformed=2, unknown_gateway=1)))
    assert told == (
        "Of the reports since the worker's start 1,234 were taken, and refused: 2 malformed, 1 unknown_gateway."
    )
