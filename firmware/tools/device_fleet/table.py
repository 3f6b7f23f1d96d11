"""What a person sees of a fleet, as lines; what a script sees, as a document. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from device_fleet.spans import shown

ONLINE: Final = "online"


@dataclass(frozen=True, slots=True)
class Row:
    """One device at one moment. The outbox also has what was acknowledged lately: it may have to be sent once more."""

    code: str
    family: str
    state: str
    last_failure: str
    sent: int
    acknowledged: int
    unacknowledged: int
    outbox: int
    dropped: int
    reconnects: int
    published_ago_s: float | None
    first_publish_ms: int | None
    pss_kib: int | None
    kills: int
    ends: int
    version: str = ""  # "": it takes no updates, or has said nothing yet
    slot: int | None = None
    on_trial: bool = False
    update_to: str = ""  # the version that is under way
    update_phase: str = ""
    update_percent: int | None = None
    last_update: str = ""  # how it ended: SUCCEEDED, FAILED rolled_back
    rollbacks: int = 0


@dataclass(frozen=True, slots=True)
class Faults:
    """What they are put through, and how often each struck so far."""

    asked_for: bool
    go_on: bool
    struck: Mapping[str, int]

    def __str__(self) -> str:
        if not self.asked_for:
            return ""
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(self.struck.items())) or "none struck yet"
        return told if self.go_on else f"{told}; they are over"


@dataclass(frozen=True, slots=True)
class Totals:
    devices: int
    online: int
    sent: int
    acknowledged: int
    unacknowledged: int
    outbox: int
    dropped: int
    reconnects: int
    kills: int
    ends: int
    pss_kib: int
    pss_max_kib: int
    on_trial: int
    updating: int
    rollbacks: int


def totals_of(rows: Sequence[Row]) -> Totals:
    added = {field.name: 0 for field in fields(Totals)}
    for name in (
        "sent",
        "acknowledged",
        "unacknowledged",
        "outbox",
        "dropped",
        "reconnects",
        "kills",
        "ends",
        "rollbacks",
    ):
        added[name] = sum(getattr(row, name) for row in rows)
    sizes = [row.pss_kib for row in rows if row.pss_kib]
    added |= {"devices": len(rows), "online": sum(row.state == ONLINE for row in rows)}
    added |= {"on_trial": sum(row.on_trial for row in rows), "updating": sum(bool(row.update_to) for row in rows)}
    return Totals(**added | {"pss_kib": sum(sizes), "pss_max_kib": max(sizes, default=0)})


HEADS: Final = (
    *(
        "DEVICE",
        "STATE",
        "VERSION",
        "UPDATE",
        "LAST FAILURE",
        "SENT",
        "ACKED",
        "UNACKED",
        "OUTBOX",
        "DROPPED",
        "RECONN",
        "PUBLISHED",
    ),
    "PSS MiB",
)
LEFT: Final = 5  # columns of words; the others are numbers


def _cells(row: Row) -> tuple[str, ...]:
    ago = "-" if row.published_ago_s is None else f"{shown(row.published_ago_s)} ago"
    return (
        *(
            row.code,
            row.state,
            row.version or "-",
            update_of(row) or "-",
            "-" if row.last_failure == "none" else row.last_failure,
        ),
        *(f"{row.sent:,}", f"{row.acknowledged:,}", f"{row.unacknowledged:,}", f"{row.outbox:,}"),
        *(f"{row.dropped:,}", f"{row.reconnects:,}", ago, _mib(row.pss_kib)),
    )


def _sums(totals: Totals) -> tuple[str, ...]:
    return (
        *(_devices(totals.devices), f"{totals.online:,} online", "", _updates(totals), ""),
        *(f"{totals.sent:,}", f"{totals.acknowledged:,}", f"{totals.unacknowledged:,}", f"{totals.outbox:,}"),
        *(f"{totals.dropped:,}", f"{totals.reconnects:,}", "", _mib(totals.pss_kib)),
    )


def update_of(row: Row) -> str:
    """In a cell: what it is at, or else how the last one ended."""
    percent = "" if row.update_percent is None else f" {row.update_percent} %"
    if row.on_trial:
        told = "on trial"
    elif row.update_to:
        told = f"{row.update_to} {row.update_phase}{percent if row.update_phase == 'downloading' else ''}"
    else:
        told = row.last_update.lower()
    back = f"went back{f' {row.rollbacks:,} times' if row.rollbacks > 1 else ''}" if row.rollbacks else ""
    return ", ".join(each for each in (told, back) if each)


def _updates(totals: Totals) -> str:
    counts = {"under way": totals.updating - totals.on_trial, "on trial": totals.on_trial, "back": totals.rollbacks}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count > 0)


def _devices(count: int) -> str:
    return f"{count:,} device{'' if count == 1 else 's'}"


def _mib(kib: int | None) -> str:
    return f"{kib / 1024:.1f}" if kib else "-"


def table(rows: Sequence[Row], below: Sequence[str], *, width: int, height: int) -> list[str]:
    """As it fits a terminal. When there is no room for all, those in trouble come first."""
    room = max(1, height - len(below) - 4)  # the head, the sums, what is left out, the cursor's line
    left_out = len(rows) - room if len(rows) > room else 0
    if left_out:
        rows_shown = sorted(
            rows, key=lambda row: (row.state == ONLINE, not row.update_to, row.unacknowledged == 0, row.code)
        )[:room]
    else:
        rows_shown = list(rows)
    lines = [HEADS, *map(_cells, rows_shown), _sums(totals_of(rows))]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADS))]
    text = [
        "  ".join(_put(cell, size, at) for at, (cell, size) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    if left_out:
        text.insert(-1, f"… and {left_out:,} more")
    return [line.rstrip()[:width] for line in (*text, *below)]


def _put(cell: str, size: int, column: int) -> str:
    return cell.ljust(size) if column < LEFT else cell.rjust(size)


def line(rows: Sequence[Row], faults: Faults) -> str:
    """All of it in one, for where there is no terminal."""
    sums = totals_of(rows)
    states = Counter(row.state for row in rows)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    failures = Counter(row.last_failure for row in rows if row.state != ONLINE and row.last_failure != "none")
    why = f" ({', '.join(f'{count:,} {failure}' for failure, count in failures.most_common())})" if failures else ""
    parts = [
        f"{_devices(sums.devices)}: {told}{why}",
        f"sent {sums.sent:,}, acknowledged {sums.acknowledged:,}, unacknowledged {sums.unacknowledged:,}",
        f"outbox {sums.outbox:,}, dropped {sums.dropped:,}",
        f"reconnects {sums.reconnects:,}",
        *_versions(rows, sums),
        f"PSS {sums.pss_kib / 1024:,.0f} MiB, the largest {sums.pss_max_kib / 1024:.1f}",
        *([f"faults: {faults}"] if faults.asked_for else []),
    ]
    return "; ".join(parts)


def _versions(rows: Sequence[Row], sums: Totals) -> list[str]:
    counts = Counter(row.version for row in rows if row.version)
    told = ", ".join(f"{count:,} × {version}" for version, count in sorted(counts.items()))
    updates = _updates(sums)
    return [f"firmware {told}{f' ({updates})' if updates else ''}"] if told else []


def document(rows: Sequence[Row], faults: Faults, *, at: str, final: bool) -> dict[str, Any]:
    return {
        "at": at,
        "final": final,
        "totals": asdict(totals_of(rows)),
        "faults": dict(faults.struck),
        "faults_go_on": faults.go_on,
        "devices": [asdict(row) for row in rows],
    }
