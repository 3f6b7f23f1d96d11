"""The page of refused messages: chosen, shown, replayed, exported, thrown away."""

from dataclasses import replace
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from tds.dashboard import quarantine_form, selection
from tds.dashboard.errors import NotUnderstoodError
from tds.dashboard.quarantine_desk import (
    ANOTHER_COMPANY,
    MAX_AT_ONCE,
    NOT_NOW,
    Acted,
    desk,
    purge_chosen,
    replay_chosen,
)
from tds.dashboard.quarantine_export import Export
from tds.dashboard.quarantine_form import Asked
from tds.fleet import access
from tds.ingest import quarantined
from tds.ingest.quarantine_blocks import Glimpse, glimpses
from tds.ingest.quarantined import Choice, Sender
from tds.ingest.reasons import Reason

MESSAGES_A_PAGE: Final = 50
MAX_SHOWN_BYTES: Final = 4_000  # of a payload; the export has all of it
MAX_HEX_BYTES: Final = 1_000  # of one that is no UTF-8


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    asked, scope = _asked(request), access.of(request)
    mine = desk(request, nobodys=asked.nobodys)
    chosen = asked.choice.of(mine.kept)
    waiting = Count("pk", filter=Q(replayed_at=None, pk__gt=asked.after or 0))
    # In one statement: what the buttons say is what they do, whatever comes meanwhile.
    sums = chosen.aggregate(kept=Count("pk"), waiting=waiting, newest=Max("pk"))
    before = request.GET.get("antes", "")
    turned = quarantine_form.is_id(before)
    older = chosen.filter(pk__lt=int(before)) if turned else chosen.filter(pk__lte=sums["newest"] or 0)
    shown = glimpses(older, limit=MESSAGES_A_PAGE + 1, beginning_bytes=MAX_SHOWN_BYTES)
    context = sums | {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "desk": mine,
        "choice": asked.choice,
        "after": asked.after,
        "query": quarantine_form.query(asked.choice, nobodys=asked.nobodys),
        "turn_query": quarantine_form.query(asked.choice, nobodys=asked.nobodys, after=asked.after),
        "reasons": list(Reason),
        "senders": [_sender(sender, asked) for sender in mine.worst],
        "rows": [_row(glimpse) for glimpse in shown[:MESSAGES_A_PAGE]],
        "next": shown[MESSAGES_A_PAGE - 1].id if len(shown) > MESSAGES_A_PAGE else None,
        "turned": turned,
        "most": MAX_AT_ONCE,
        "operates": access.operates(request),
    }
    return render(request, "dashboard/quarantine.html", context)


@require_POST
@login_required
def act(request: HttpRequest) -> HttpResponse:
    """Replay or purge what the form chose, then show the choice again with what happened."""
    asked, action = quarantine_form.read(request.POST), request.POST.get("acao")
    mine = desk(request, nobodys=asked.nobodys)
    if request.POST.get("cliente") != mine.slug:
        # Drawn before the person went on in another company in another tab: its messages were never looked at.
        messages.error(request, str(ANOTHER_COMPANY))
        return HttpResponseRedirect(reverse("quarantine"))
    if asked.newest is None:
        raise NotUnderstoodError(_("The form does not say up to which message; reload the page and try again."))
    last = None
    if action == "reprocessar":
        mine.require("replay")
        acted = replay_chosen(asked.of(mine.kept), after=asked.after or 0)
        last = acted.last
        _tell(request, _told_replay(acted), well=acted.outcome.accepted > 0)
    elif action == "eliminar":
        mine.require("purge")
        if request.POST.get("certeza"):
            _tell(request, _told_purge(purge_chosen(asked.of(mine.kept))), well=True)
        else:
            _tell(request, _("Nothing was thrown away: tick the box to say that you mean it."), well=False)
    else:
        raise NotUnderstoodError(_("The form does not say what to do; reload the page and try again."))
    query = quarantine_form.query(asked.choice, nobodys=asked.nobodys, after=last)
    return HttpResponseRedirect(f"{reverse('quarantine')}?{query}")


@require_GET
@never_cache
@login_required
def export(request: HttpRequest) -> HttpResponseBase:
    asked = _asked(request)
    chosen = asked.of(desk(request, nobodys=asked.nobodys).kept)
    lines = Export.begin(str(request.user.pk), chosen)
    if lines is None:
        sentence = _("An export of yours is under way; wait until it has ended.")
        return render(request, "429.html", {"sentence": sentence}, status=429)
    return StreamingHttpResponse(
        lines,
        content_type="application/x-ndjson; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="quarentena.ndjson"'},
    )


def _asked(request: HttpRequest) -> Asked:
    """Of a link. A platform operator who belongs to no tenant has nobody's messages to look after, and no others."""
    asked = quarantine_form.read(request.GET)
    return replace(asked, nobodys=True) if access.operates(request) and access.of(request).tenant is None else asked


def _sender(sender: Sender, asked: Asked) -> tuple[Sender, str, str]:
    """With what to do, and the query that chooses the sender's messages."""
    # Without a code there is only the reason to choose by.
    choice = Choice("" if sender.gateway_code else sender.reason, sender.gateway_code)
    advice = quarantined.advice(sender.reason, sender.gateway_code)
    return sender, advice, quarantine_form.query(choice, nobodys=asked.nobodys)


def _row(glimpse: Glimpse) -> dict[str, Any]:
    text = glimpse.text()
    shown = glimpse.beginning[:MAX_HEX_BYTES] if text is None else glimpse.beginning
    return {
        "message": glimpse,
        "advice": quarantined.advice(glimpse.reason, glimpse.gateway_code),
        "payload": shown.hex(" ") if text is None else text,
        "cut": len(shown) < glimpse.size,
        "is_hex": text is None,
    }


def _tell(request: HttpRequest, sentence: str, *, well: bool) -> None:
    messages.add_message(request, messages.SUCCESS if well else messages.WARNING, sentence)


def _told_replay(acted: Acted) -> str:
    outcome = acted.outcome
    if not acted.chosen and not outcome.untried:
        return _("Nothing of this choice waits to be replayed.")
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
    if outcome.untried:
        said += f" {NOT_NOW}"
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
