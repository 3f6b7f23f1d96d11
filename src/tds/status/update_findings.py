"""What is said of firmware updates, and what to do. Pure; in English, as on the command line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from tds.fleet.counted import counted
from tds.updates.signed.refusal import DocumentRefusedError, Refusal
from tds.updates.signed.trust import TrustSet, Use

WARNING: Final = timedelta(days=30)  # before a trust set or a key of it ends: gateways that are away need it in time
LANE_STALE: Final = timedelta(minutes=1)  # both take a turn every few seconds
MAX_NAMED: Final = 3  # in a sentence
DAYS_FROM: Final = timedelta(days=2)  # below, hours are said

CEREMONY: Final = "Make keys and a trust set as docs/operations.md says (Keys of updates)."
RESTART: Final = "Restart ./tds up, which makes one."
MAKE: Final = "Where the root key is: ./tds trust make NEW --root root.key --former THE-PRESENT-ONE"
GO_ON: Final = "--release release.pub --assignment assignment.pub, with each key that goes on"
LOG: Final = "Look into log/worker.log under TDS_HOME."
WRONG: Final = {
    Refusal.KEY_REVOKED: "is revoked by",
    Refusal.KEY_UNKNOWN: "is not in",
    Refusal.KEY_OUT_OF_TIME: "has ended in",
}
LANES: Final = {"conducting": "conducts no rollout", "pushing": "pushes no update"}


class Finding(NamedTuple):
    """`urgent`: something does not work. Otherwise it works, and will not go on for ever, or a person has to decide."""

    urgent: bool
    detail: str
    action: str


@dataclass(frozen=True, slots=True)
class Keys:
    """`assignment` is the server's own key's `kid`, None while there is none; troubles are sentences."""

    trust: TrustSet | None
    roots: int
    roots_trouble: str = ""
    assignment: str | None = None
    assignment_trouble: str = ""
    private: Sequence[str] = ()  # files with root or release keys on this machine
    revoked_roots: Sequence[str] = ()  # of those that are believed here, by `kid`
    ahead: Sequence[str] = ()  # gateways, by code, that say that they have a newer trust set


@dataclass(frozen=True, slots=True)
class Worker:
    """Of its sign of life. `turned_at`: by lane, when it last ended a turn; None: not since its start."""

    started_at: datetime
    turned_at: Mapping[str, datetime | None]
    push_trouble: str = ""
    passed_over: Sequence[int] = ()  # rollouts whose turn failed
    taken: int = 0  # reports
    refused: Counter[str] = field(default_factory=Counter)  # reports, by why


@dataclass(frozen=True, slots=True)
class Facts:
    production: bool
    keys: Keys
    published: int
    lacking: Sequence[str]  # published releases whose file is not there
    running: int  # rollouts
    halted: Sequence[int]  # their numbers, the longest halted first
    halted_since: datetime | None
    lost: Sequence[str]  # gateways, by code
    worker: Worker | None  # None: it gives no sign of life


def findings(facts: Facts, *, now: datetime) -> list[Finding]:
    """The urgent ones first; none when all is well."""
    found = [*_of_keys(facts.keys, now, production=facts.production), *_of_files(facts.lacking)]
    found += [*_of_worker(facts, now), *_of_rollouts(facts, now)]
    return sorted(found, key=lambda finding: not finding.urgent)


def well(facts: Facts) -> str:
    """What is said when there are no findings."""
    trust = facts.keys.trust
    until = f"Trust set {trust.version} until {_day(trust.expires_at)}; " if trust else ""
    return f"{until}{counted(facts.published, 'release')} published, {counted(facts.running, 'rollout')} under way."


def of_reports(worker: Worker | None) -> str:
    """A sentence beside the findings; empty while nothing was refused."""
    if worker is None or not worker.refused:
        return ""
    why = ", ".join(f"{count:,} {word}" for word, count in worker.refused.most_common(MAX_NAMED))
    return f"Of the reports since the worker's start {worker.taken:,} were taken, and refused: {why}."


def _of_keys(keys: Keys, now: datetime, *, production: bool) -> Iterator[Finding]:
    if production and keys.private:
        named = ", ".join(keys.private[:MAX_NAMED])
        yield _warning(
            f"A private key that signs releases or trust sets lies on this server: {named}. Whoever takes the server "
            "could sign with it.",
            "Take it to where releases are made, with a copy in another place, and remove it here (shred -u).",
        )
    if keys.roots_trouble:
        yield Finding(urgent=True, detail=keys.roots_trouble, action="Restore updates/roots from the backup.")
    trust = keys.trust
    if trust is None:
        detail = "There is no trust set, so no key is believed: nothing can be released, and no gateway updated."
        yield _warning(detail, CEREMONY if production else RESTART)
        return
    if not keys.roots and not keys.roots_trouble:
        yield _warning(
            "No root key is believed here: units provisioned now believe nobody.",
            "Name its public half with the next trust set: ./tds trust upload FILE --root root.pub",
        )
    if keys.revoked_roots:
        yield _warning(
            f"Trust set {trust.version} revokes a root key that units provisioned now would still get: "
            f"{_named(keys.revoked_roots)}",
            "Remove its .pub from updates/roots, and name another root's: ./tds trust upload FILE --root root.pub",
        )
    if keys.ahead:
        yield _warning(
            f"Trust set {trust.version} is given out here, and a newer one was reported by "
            f"{counted(len(keys.ahead), 'gateway')}: {_named(keys.ahead)}",
            "After a restore upload the newest again (./tds trust upload FILE); it may revoke what is believed here.",
        )
    yield from _of_trust(trust, now, production=production)
    yield from _of_assignment(keys, trust, now)


def _of_trust(trust: TrustSet, now: datetime, *, production: bool) -> Iterator[Finding]:
    # What the former set has keeps its end, which is mostly the set's own: alone it would make a set of no keys.
    make = f"{MAKE} {GO_ON}; then ./tds trust upload NEW." if production else RESTART
    if trust.expires_at <= now:
        detail = f"Trust set {trust.version} ended on {_day(trust.expires_at)}: nothing can be released or published."
        yield Finding(urgent=True, detail=detail, action=make)
        return
    if trust.expires_at - now <= WARNING:
        yield _warning(f"Trust set {trust.version} ends in {_days(trust.expires_at - now)}.", make)
    ends = [
        datetime.fromtimestamp(key.exp, UTC)
        for key in trust.keys
        if key.use is Use.RELEASE and key.kid not in trust.revoked
    ]
    end = max(ends, default=now)
    if end <= now:
        detail = f"No release key of trust set {trust.version} is good any more: nothing can be released."
        yield Finding(urgent=True, detail=detail, action=f"{MAKE} --release NEW-KEY.pub")
    elif end - now <= WARNING and end < trust.expires_at:
        yield _warning(f"The last release key ends in {_days(end - now)}.", f"{MAKE} --release NEW-KEY.pub")


def _of_assignment(keys: Keys, trust: TrustSet, now: datetime) -> Iterator[Finding]:
    name_it = f"{MAKE} --assignment assignment.pub (./tds trust assignment-key says where that is)."
    if keys.assignment_trouble:
        action = "Correct whose the file is, or restore it from the backup; no update can be offered meanwhile."
        yield Finding(urgent=True, detail=keys.assignment_trouble, action=action)
    elif keys.assignment is None:
        detail = "The key that signs tickets is missing; a new one would be believed by nobody."
        yield Finding(
            urgent=True, detail=detail, action=f"Restore updates/assignment.key from the backup. Or: {name_it}"
        )
    else:
        try:
            trust.key_for(Use.ASSIGNMENT, keys.assignment, now)
        except DocumentRefusedError as error:
            what = WRONG.get(error.reason, "is not believed by")
            detail = f"Gateways refuse every ticket: the key that signs them {what} trust set {trust.version}."
            yield Finding(urgent=True, detail=detail, action=name_it)
            return
        end = next(_moment(key.exp) for key in trust.keys if key.kid == keys.assignment and key.use is Use.ASSIGNMENT)
        if end - now <= WARNING and end < trust.expires_at:
            yield _warning(f"The key that signs tickets ends in {_days(end - now)}.", name_it)


def _of_files(lacking: Sequence[str]) -> Iterator[Finding]:
    if lacking:
        detail = f"The image of {counted(len(lacking), 'published release')} is lost: {_named(lacking)}"
        action = "Upload each once more (./tds release upload IMAGE MANIFEST), or restore updates/artifacts."
        yield Finding(urgent=True, detail=detail, action=action)


def _of_worker(facts: Facts, now: datetime) -> Iterator[Finding]:
    worker = facts.worker
    if worker is None:
        if facts.running:
            yield _warning("Rollouts stand still: the worker gives no sign of life.", "See worker.")
        return
    for lane, what in LANES.items():
        since = worker.turned_at.get(lane) or worker.started_at
        if now - since > LANE_STALE:
            detail = f"The worker {what} any more, for {(now - since).total_seconds():.0f} s."
            yield Finding(urgent=True, detail=detail, action=f"{LOG} Restart ./tds up when it does not say why.")
    if worker.push_trouble:
        action = "It is tried again, and gateways ask by themselves too; see broker."
        yield _warning(f"Updates could not be pushed: {worker.push_trouble}", action)
    if worker.passed_over:
        yield _warning(f"Rollouts whose turn fails again and again: {_numbers(worker.passed_over)}", LOG)


def _of_rollouts(facts: Facts, now: datetime) -> Iterator[Finding]:
    if facts.halted:
        since = f", the first {_ago(now - facts.halted_since)} ago" if facts.halted_since else ""
        number = facts.halted[0]
        yield _warning(
            f"{counted(len(facts.halted), 'rollout')} halted{since}: {_numbers(facts.halted)}",
            f"./tds rollout show {number} says why; then resume, replace or cancel it (docs/operations.md).",
        )
    if facts.lost:
        yield _warning(
            f"{counted(len(facts.lost), 'gateway')} began to install and did not come back: {_named(facts.lost)}",
            "Somebody should look at each; the page corrects itself when it reports (docs/operations.md).",
        )


def _warning(detail: str, action: str) -> Finding:
    return Finding(urgent=False, detail=detail, action=action)


def _named(texts: Sequence[str]) -> str:
    return ", ".join(texts[:MAX_NAMED]) + (" …" if len(texts) > MAX_NAMED else ".")


def _numbers(rollouts: Sequence[int]) -> str:
    return _named([f"#{number}" for number in rollouts])


def _days(left: timedelta) -> str:
    return counted(left.days, "day") if left.days else "less than a day"


def _ago(since: timedelta) -> str:
    hours = round(since.total_seconds() / 3_600)
    if since >= DAYS_FROM:
        return counted(since.days, "day")
    return counted(hours, "hour") if hours else counted(round(since.total_seconds() / 60), "minute")


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
