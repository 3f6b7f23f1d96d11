"""A rollout on the command line: as a document, as text, and as bars that move."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from django.db import close_old_connections
from django.db.models import Count
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tds.fleet.commands import iso
from tds.fleet.counted import counted
from tds.updates.models import LeftOut, Rollout, RolloutStatus, Wave
from tds.updates.rollouts import counts, target_words, words
from tds.updates.rollouts.counts import KINDS, Counts
from tds.updates.rollouts.plan import NAMED, Plan, Preview
from tds.updates.rollouts.roster import Candidate
from tds.updates.rollouts.told import psycopg_connection

LOOK_EVERY_S: Final = 1.0
EVENTS_SHOWN: Final = 12
CODES_SHOWN: Final = 200  # that nobody has, and as many tags
BAR_CELLS: Final = 40
OVER: Final = (RolloutStatus.COMPLETED, RolloutStatus.HALTED, RolloutStatus.CANCELED)


def document(rollout: Rollout) -> dict[str, Any]:
    of_waves = _counts(rollout)
    return {
        "rollout": rollout.pk,
        "release": str(rollout.release),
        "tenant": rollout.tenant.slug if rollout.tenant else None,
        "target": rollout.target,
        "status": str(rollout.status),
        "halted_why": rollout.halted_why or None,
        "waves": [
            {
                "number": wave.number,
                "label": wave.label,
                "size": wave.size,
                "opened_at": iso(wave.opened_at),
                "soak_from": iso(wave.soak_from),
                "completed_at": iso(wave.completed_at),
                **{kind: getattr(of_waves.get(wave.number, Counts()), kind) for kind in KINDS},
            }
            for wave in _waves(rollout)
        ],
        "left_out": _left_out(rollout),
        "events": [
            {
                "at": iso(event.at),
                "kind": event.kind,
                "actor": event.actor,
                "text": words.event(event.kind, event.words),
                "signs": [{"gateway_code": code, "text": sentence} for code, sentence in words.signs(event.words)],
            }
            for event in rollout.events.all()[:EVENTS_SHOWN]
        ],
    }


def text(rollout: Rollout) -> str:
    of_waves = _counts(rollout)
    lines = [f"Rollout #{rollout.pk} of {rollout.release}: {rollout.status}. {_why(rollout)}".rstrip()]
    if chosen := target_words.told(rollout):
        lines.append(f"  {'; '.join(chosen)}")
    lines += [
        f"  wave {wave.number} ({wave.label}): {_figures(of_waves.get(wave.number, Counts()), wave)}"
        for wave in _waves(rollout)
    ]
    lines += [f"  {count} left out: {words.reason(reason)}" for reason, count in _left_out(rollout).items()]
    lines += _events(rollout)
    return "\n".join(lines)


def preview_document(found: Preview) -> dict[str, Any]:
    """Of a rollout that nobody has started."""
    return {
        "gateways": found.gateways,
        "waves": [{"label": wave.label, "size": wave.size} for wave in found.waves],
        "left_out": {str(reason): count for reason, count in found.left_out.items()},
        "first_left_out": {str(reason): [each.code for each in some] for reason, some in found.named.items()},
        "unknown_codes": list(found.unknown_codes),
        "unknown_tags": list(found.unknown_tags),
        "first": [each.code for each in found.page],
    }


def preview_text(plan: Plan, found: Preview) -> str:
    lines = [f"{counted(found.gateways, 'gateway')} would get {plan.release}."]
    lines += [f"  wave {n} ({wave.label}): {wave.size}" for n, wave in enumerate(found.waves, 1)]
    if found.page:
        lines.append(f"  in: {_named(found.page, found.gateways)}")
    for reason, count in found.left_out.items():
        lines.append(f"  {count} left out: {words.reason(reason)}")
        lines.append(f"    {_named(found.named.get(reason, ()), count)}")
    if found.unknown_codes:
        lines.append(f"  no such gateway: {', '.join(found.unknown_codes[:CODES_SHOWN])}")
    if found.unknown_tags:
        lines.append(f"  no gateway has the tag: {', '.join(found.unknown_tags[:CODES_SHOWN])}")
    return "\n".join(lines)


def _named(some: Sequence[Candidate], of: int) -> str:
    codes = [each.code for each in some[:NAMED]]
    return ", ".join([*codes, "…"] if len(codes) < of else codes)


def follow(rollout: Rollout, *, as_json: bool) -> str:
    """Until it is over; its status then."""
    if as_json:
        return _follow_lines(rollout)
    with Live(_picture(rollout), console=Console(), refresh_per_second=4, transient=False) as live:
        while rollout.status not in OVER:
            _next_look(rollout)
            live.update(_picture(rollout))
    return str(rollout.status)


def _follow_lines(rollout: Rollout) -> str:
    said = ""
    while True:
        line = json.dumps(document(rollout), ensure_ascii=False)
        if line != said:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            said = line
        if rollout.status in OVER:
            return str(rollout.status)
        _next_look(rollout)


def _next_look(rollout: Rollout) -> None:
    time.sleep(LOOK_EVERY_S)
    close_old_connections()  # a database that was started again is found again
    rollout.refresh_from_db()


def _picture(rollout: Rollout) -> Group:
    of_waves = _counts(rollout)
    table = Table.grid(padding=(0, 2))
    for wave in _waves(rollout):
        found = of_waves.get(wave.number, Counts())
        done = found.finished + found.accepted + found.removed + found.canceled
        style = "red" if found.bad else "green"
        bar = ProgressBar(total=max(wave.size, 1), completed=done, width=BAR_CELLS, complete_style=style)
        table.add_row(f"{wave.number}", wave.label, bar, _figures(found, wave))
    head = Text(f"Rollout #{rollout.pk} of {rollout.release}: {rollout.status}. {_why(rollout)}".rstrip())
    return Group(head, table, *(Text(line) for line in _events(rollout)))


def _figures(found: Counts, wave: Wave) -> str:
    shown = [f"{getattr(found, kind)} {kind.replace('_', ' ')}" for kind in KINDS if getattr(found, kind)]
    return f"{found.succeeded}/{wave.size}" + (f"  {', '.join(shown)}" if shown else "")


def _events(rollout: Rollout) -> list[str]:
    newest = list(rollout.events.all()[:EVENTS_SHOWN])
    lines = []
    for event in reversed(newest):
        actor = f" ({event.actor})" if event.actor else ""
        lines.append(f"  {event.at:%Y-%m-%d %H:%M:%S}Z  {words.event(event.kind, event.words)}{actor}")
        lines += [f"    {code}: {sentence}" for code, sentence in words.signs(event.words)]
    return lines


def _why(rollout: Rollout) -> str:
    return words.halt(rollout.halted_why) if rollout.halted_why else ""


def _left_out(rollout: Rollout) -> dict[str, int]:
    """How many, by why."""
    found = LeftOut.objects.filter(rollout=rollout).order_by("reason").values_list("reason")
    return dict(found.annotate(total=Count("pk")))


def _waves(rollout: Rollout) -> list[Wave]:
    return list(Wave.objects.filter(rollout=rollout).order_by("number"))


def _counts(rollout: Rollout) -> dict[int, Counts]:
    return counts.of(psycopg_connection(), [rollout.pk]).get(rollout.pk, {})
