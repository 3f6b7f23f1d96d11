"""How the platform is, for its operator: what `tds status` says, on a page that goes on asking.

A look takes seconds and sends a message through every broker. So no request waits for one: it gets the last look, and
starts the next one beside it when that is old; all viewers, in every process, share both.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from ninja import Router, Schema

from tds.dashboard import selection
from tds.dashboard.answers import Refused
from tds.dashboard.pages import REFRESH_S
from tds.dashboard.texts import status_texts
from tds.fleet import access
from tds.settings import ENV
from tds.status import Look, Part, State, healthy, look

LOOK_SHARED: Final = timedelta(seconds=10)  # no new look before; a younger one is everybody's answer
LOOK_KEPT_S: Final = 120  # then it says nothing of now any more
LOOK_LIMIT_S: Final = 30  # whoever began one may be dead: then somebody else begins
LOOKING_S: Final = 1  # until the page asks again while a look is under way
LAST: Final = "platform-status"
UNDER_WAY: Final = "platform-status-under-way"
NEVER: Final[dict[str, Any]] = {
    "verificado_em": None,
    "saudavel": None,
    "armazenamento": None,
    "partes": [],
    "spools": [],
}

logger = logging.getLogger(__name__)
router = Router()


class ShownPart(Schema):
    """As `./tds status --json` has it, in English: `estado` is healthy, warning, unhealthy or off."""

    nome: str
    estado: State
    detalhe: str
    o_que_fazer: str


class Spool(Schema):
    """What one consumer keeps until the database is back; `idade_s` of the oldest message, null when it is empty."""

    consumidor: str
    bytes: int
    limite_bytes: int
    idade_s: float | None


class Status(Schema):
    """All null and empty until the first look has ended; `verificando` says that one is under way."""

    verificado_em: datetime | None
    verificando: bool
    saudavel: bool | None
    armazenamento: str | None
    partes: list[ShownPart]
    spools: list[Spool]


@require_GET
@never_cache
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """Comes at once, without a look."""
    _require_operator(request)
    scope = access.of(request)
    script = {
        "api": reverse("api:platform_status"),
        "language": get_language(),
        "time_zone": selection.zone(scope).key,
        "refresh_s": REFRESH_S,
        "looking_s": LOOKING_S,
        "texts": _texts(),
    }
    return render(request, "dashboard/platform_status.html", {"script": script})


@router.get(
    "situacao/",
    response={200: Status, 401: Refused, 403: Refused},
    summary="What works and what does not, for the platform operator",
    url_name="platform_status",
)
def platform_status(request: HttpRequest) -> dict[str, Any]:
    _require_operator(request)
    last: dict[str, Any] = cache.get(LAST, NEVER)
    old = last is NEVER or timezone.now() - last["verificado_em"] > LOOK_SHARED
    if old and cache.add(UNDER_WAY, value=True, timeout=LOOK_LIMIT_S):
        _begin(_look)
    return last | {"verificando": old}


def _require_operator(request: HttpRequest) -> None:
    if not access.operates(request):
        raise PermissionDenied(_("The platform's status is for the platform operator."))


def _begin(work: Callable[[], None]) -> None:
    def apart() -> None:
        try:
            work()
        finally:
            connections.close_all()  # a thread's own, which nobody else would close

    Thread(target=apart, name="status", daemon=True).start()


def _look() -> None:
    try:
        found = _document(look(ENV))
    except Exception as error:  # what it is about is that something is broken
        logger.exception("The look at the platform's parts failed")
        failed = Part("status", State.UNHEALTHY, f"The look itself failed: {error}", "Look into log/web.log.")
        found = _document(Look([failed], [], "", timezone.now()))
    cache.set(LAST, found, LOOK_KEPT_S)
    cache.delete(UNDER_WAY)


def _document(seen: Look) -> dict[str, Any]:
    return {
        "verificado_em": seen.taken_at,
        "saudavel": healthy(seen.parts),
        "armazenamento": seen.store or None,
        "partes": [
            {"nome": part.name, "estado": part.state, "detalhe": part.detail, "o_que_fazer": part.action}
            for part in seen.parts
        ],
        "spools": [
            {
                "consumidor": spool.consumer,
                "bytes": spool.size_bytes,
                "limite_bytes": spool.limit_bytes,
                "idade_s": (seen.taken_at - spool.oldest_at).total_seconds() if spool.oldest_at else None,
            }
            for spool in seen.spools
        ],
    }


def _texts() -> dict[str, str]:
    return status_texts() | {
        "loading": _("Looking…"),
        "updated": _("Looked at {time}"),
        "healthy": _("works"),
        "warning": _("needs a look"),
        "unhealthy": _("does not work"),
        "off": _("off"),
        "all_well": _("Everything works."),
        "some_warn": _("Everything works, but look at: {names}."),
        "some_fail": _("Not everything works. Look at: {names}."),
        "size": _("{size} of {limit}"),
        "full": _("{percent} full"),
        "empty": _("empty"),
        "oldest": _("oldest message: {when}"),
        "no_spool": _("None: while the database is away, the broker keeps the messages."),
        "native": _("native: partitions of PostgreSQL, a day each"),
        "timescaledb": _("TimescaleDB: a hypertable, compressed when a week old"),
        "no_store": _("unknown while the database is away"),
    }
