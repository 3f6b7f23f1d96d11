"""Refused messages of the person's tenant: chosen, shown, replayed, exported, thrown away. The page, and its actions.

What is nobody's, because its code is no tenant's, is for the platform operator alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from tds import wiring
from tds.dashboard import selection
from tds.fleet import access
from tds.fleet.directory import Directory
from tds.fleet.models import Role, User
from tds.ingest import quarantine, quarantined
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantined import Choice, Sender
from tds.ingest.reasons import Reason
from tds.ingest.replay import Outcome, replay
from tds.ingest.writer import Writer

MESSAGES_A_PAGE: Final = 50
MAX_AT_ONCE: Final = 5_000  # messages that one request replays or throws away: about two seconds
MAX_EXPORTED: Final = 100_000
MAX_SHOWN_CHARS: Final = 4_000  # of a payload; the export has all of it
EXPORT_CHUNK: Final = 500
NOBODYS: Final = "ninguem"


@dataclass(frozen=True, slots=True)
class Desk:
    """What one person may look at: their tenant's messages, or nobody's."""

    kept: "QuerySet[QuarantinedMessage]"
    worst: list[Sender]
    nobodys: bool
    may_replay: bool
    may_purge: bool

    def require(self, right: Literal["replay", "purge"]) -> None:
        if not {"replay": self.may_replay, "purge": self.may_purge}[right]:
            raise PermissionDenied(_("Your role in the company does not allow this; ask one of its administrators."))


@dataclass(frozen=True, slots=True)
class Acted:
    """What an action did with the oldest of the choice, and how many it left for the next request."""

    chosen: int
    left: int
    outcome: Outcome
    purged: int = 0


def desk(request: HttpRequest, *, nobodys: bool) -> Desk:
    """Raises PermissionDenied for nobody's messages, unless the platform operator asks."""
    now = timezone.now()
    if nobodys:
        if not operates(request):
            raise PermissionDenied(_("Messages of unknown gateways are for the platform operator."))
        return Desk(quarantined.nobodys(), quarantined.worst_of_strangers(now=now), True, True, True)
    scope = access.of(request)
    counts = scope.filter(quarantined.counts(), "gateway__tenant")
    return Desk(
        scope.filter(quarantined.everybodys(), "tenant"),
        quarantined.worst_of_gateways(counts, now=now),
        False,
        scope.may(Role.OPERATOR),
        scope.may(Role.ADMIN),
    )


def operates(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_platform_operator


def replay_chosen(kept: "QuerySet[QuarantinedMessage]") -> Acted:
    """Judge and store the oldest of a choice once more. Doing it twice does no harm."""
    waiting = kept.filter(replayed_at=None)
    ids = _oldest(waiting)
    writer = Writer(
        wiring.database_connection(),
        wiring.reading_store(),
        Directory(),
        wiring.quarantine_bounds(),
        wiring.retention(),
    )
    total = Outcome()
    for outcome in replay(writer, ids, now=timezone.now()):
        total.add(outcome)
    return Acted(len(ids), max(0, waiting.count() - total.refused.total()), total)


def purge_chosen(kept: "QuerySet[QuarantinedMessage]") -> Acted:
    ids = _oldest(kept)
    purged = quarantine.purge(wiring.database_connection(), ids)
    return Acted(len(ids), kept.count(), Outcome(), purged)


def _oldest(kept: "QuerySet[QuarantinedMessage]") -> list[int]:
    return list(kept.order_by("id").values_list("pk", flat=True)[:MAX_AT_ONCE])


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    nobodys = request.GET.get("de") == NOBODYS
    mine, choice = desk(request, nobodys=nobodys), _choice(request.GET)
    chosen = choice.of(mine.kept)
    before = request.GET.get("antes", "")
    older = chosen.filter(pk__lt=int(before)) if _is_id(before) else chosen
    shown = list(older.order_by("-pk")[: MESSAGES_A_PAGE + 1])
    context = {
        "scope": access.of(request),
        "tenant": access.of(request).tenant,
        "zone": selection.zone(access.of(request)).key,
        "desk": mine,
        "choice": choice,
        "query": _query(choice, nobodys=nobodys),
        "reasons": list(Reason),
        "senders": [
            (
                sender,
                quarantined.advice(sender.reason, sender.gateway_code),
                _query(Choice("", sender.gateway_code), nobodys=nobodys),
            )
            for sender in mine.worst
        ],
        "rows": [_row(message) for message in shown[:MESSAGES_A_PAGE]],
        "next": shown[MESSAGES_A_PAGE - 1].pk if len(shown) > MESSAGES_A_PAGE else None,
        "newest": not _is_id(before),
        "waiting": chosen.filter(replayed_at=None).count(),
        "kept": chosen.count(),
        "most": MAX_AT_ONCE,
        "operates": operates(request),
    }
    return render(request, "dashboard/quarantine.html", context)


@require_POST
@login_required
def act(request: HttpRequest) -> HttpResponse:
    """Replay or purge what the form chose, then show the choice again with what happened."""
    nobodys = request.POST.get("de") == NOBODYS
    mine, choice = desk(request, nobodys=nobodys), _choice(request.POST)
    chosen = choice.of(mine.kept)
    if _is_id(request.POST.get("id", "")):
        chosen = chosen.filter(pk=int(request.POST["id"]))
    if request.POST.get("acao") == "reprocessar":
        mine.require("replay")
        messages.success(request, _told_replay(replay_chosen(chosen)))
    elif request.POST.get("acao") == "eliminar":
        mine.require("purge")
        if request.POST.get("certeza"):
            messages.success(request, _told_purge(purge_chosen(chosen)))
        else:
            messages.warning(request, _("Nothing was thrown away: tick the box to say that you mean it."))
    return HttpResponseRedirect(f"{reverse('quarantine')}?{_query(choice, nobodys=nobodys)}")


@require_GET
@never_cache
@login_required
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The choice as JSON lines, oldest first, as `./tds quarantine export` writes them."""
    mine = desk(request, nobodys=request.GET.get("de") == NOBODYS)
    chosen = _choice(request.GET).of(mine.kept).order_by("id")[:MAX_EXPORTED]

    def lines() -> Iterator[str]:
        for message in chosen.iterator(chunk_size=EXPORT_CHUNK):
            yield json.dumps(quarantined.described(message), ensure_ascii=False) + "\n"

    return StreamingHttpResponse(
        lines(),
        content_type="application/x-ndjson; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="quarentena.ndjson"'},
    )


def _choice(values: Any) -> Choice:
    reason = values.get("motivo", "")
    return Choice(reason if reason in set(Reason) else "", values.get("gateway", "").replace("\x00", "").strip()[:200])


def _query(choice: Choice, *, nobodys: bool) -> str:
    parts = {"de": NOBODYS if nobodys else "", "motivo": choice.reason, "gateway": choice.gateway}
    return urlencode({name: value for name, value in parts.items() if value})


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(2**63)) - 1


def _row(message: QuarantinedMessage) -> dict[str, Any]:
    text, encoded = quarantined.payload_of(message)
    payload = bytes(message.payload).hex(" ") if encoded is not None else text
    return {
        "message": message,
        "size": len(message.payload),
        "advice": quarantined.advice(message.reason, message.gateway_code),
        "payload": payload[:MAX_SHOWN_CHARS],
        "cut": len(payload) > MAX_SHOWN_CHARS,
        "is_hex": encoded is not None,
    }


def _told_replay(acted: Acted) -> str:
    outcome = acted.outcome
    said = _(
        "Messages accepted now: %(accepted)s of %(chosen)s, with %(readings)s readings, "
        "of which %(duplicates)s were there already."
    ) % {
        "accepted": _number(outcome.accepted),
        "chosen": _number(acted.chosen),
        "readings": _number(outcome.readings),
        "duplicates": _number(outcome.duplicates),
    }
    if outcome.refused:
        still = ", ".join(f"{_number(count)} {word}" for word, count in outcome.refused.most_common())
        said += " " + _("Still refused: %(reasons)s.") % {"reasons": still}
    return said + _told_left(acted)


def _told_purge(acted: Acted) -> str:
    said = ngettext(
        "%(count)s message is gone; the count stays.", "%(count)s messages are gone; the counts stay.", acted.purged
    ) % {"count": _number(acted.purged)}
    return said + _told_left(acted)


def _told_left(acted: Acted) -> str:
    if not acted.left:
        return ""
    return " " + _("%(count)s are left; do it again for the next ones.") % {"count": _number(acted.left)}


def _number(value: int) -> str:
    return number_format(value, use_l10n=True, force_grouping=True)
