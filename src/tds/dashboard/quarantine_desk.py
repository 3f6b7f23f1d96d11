"""What one person may do with refused messages, for the page and the API: whose they see, replay, throw away.

What is nobody's, because its code is no tenant's, is for the platform operator alone.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tds import wiring
from tds.dashboard.errors import in_parts
from tds.fleet import access
from tds.fleet.models import Role
from tds.ingest import quarantine, quarantined
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantined import Sender
from tds.ingest.replay import BATCH_MESSAGES, Outcome, replay

MAX_AT_ONCE: Final = 5_000  # messages that one request replays or throws away
REPLAY_LIMIT_S: Final = 5.0  # of one request; it ends after the batch that is under way then
ANOTHER_COMPANY: Final = gettext_lazy(
    "Nothing was done: this was asked for another company than the one you work in now. "
    "Look at what is chosen here, and do it again."
)
# Of a disk that is nearly full, or of a database that rolled the same back again and again: not the reader's to mend.
NOT_NOW: Final = gettext_lazy("The platform could not store the rest now; try again in a few minutes.")


@dataclass(frozen=True, slots=True)
class Desk:
    """What one person may look at: their tenant's messages, or nobody's."""

    kept: "QuerySet[QuarantinedMessage]"
    worst: list[Sender]
    nobodys: bool
    slug: str  # of the tenant; empty for nobody's
    may_replay: bool
    may_purge: bool

    def require(self, right: Literal["replay", "purge"]) -> None:
        if not {"replay": self.may_replay, "purge": self.may_purge}[right]:
            raise PermissionDenied(_("Your role in the company does not allow this; ask one of its administrators."))


@dataclass(frozen=True, slots=True)
class Acted:
    """What an action did with the oldest of the choice, and how many it left for the next request.

    `last`: the id after which a replay is to go on, 0 for the first; None when nothing is left.
    """

    chosen: int
    left: int
    outcome: Outcome
    purged: int = 0
    last: int | None = None


def desk(request: HttpRequest, *, nobodys: bool) -> Desk:
    """Raises PermissionDenied for nobody's messages, unless the platform operator asks."""
    now = timezone.now()
    if nobodys:
        if not access.operates(request):
            raise PermissionDenied(_("Messages of unknown gateways are for the platform operator."))
        strangers = quarantined.worst_of_strangers(now=now)
        return Desk(quarantined.nobodys(), strangers, nobodys=True, slug="", may_replay=True, may_purge=True)
    scope = access.of(request)
    counts = scope.filter(quarantined.counts(), "tenant")
    return Desk(
        scope.filter(quarantined.everybodys(), "tenant"),
        quarantined.worst_of_gateways(counts, now=now),
        nobodys=False,
        slug=scope.tenant.slug if scope.tenant else "",
        may_replay=scope.may(Role.OPERATOR),
        may_purge=scope.may(Role.ADMIN),
    )


def replay_chosen(kept: "QuerySet[QuarantinedMessage]", *, after: int = 0) -> Acted:
    """Judge and store once more the oldest of a choice that come after an id. Doing it twice does no harm.

    What is still refused stays as it is; without the id the next request would take the same ones again, for ever.
    """
    deadline = monotonic() + REPLAY_LIMIT_S
    waiting = kept.filter(replayed_at=None)
    ids = _oldest(waiting.filter(pk__gt=after))
    batch: list[int] = []
    total, tried = Outcome(), 0
    with in_parts():
        writer = wiring.writer()
        while tried < len(ids) and (not tried or monotonic() < deadline):
            batch = ids[tried : tried + BATCH_MESSAGES]
            for outcome in replay(writer, batch, now=timezone.now(), room=wiring.room()):
                total.add(outcome)
            if total.untried:
                break
            tried += len(batch)
        last = ids[tried - 1] if tried else after
        left = waiting.filter(pk__gt=last).count()
    if total.untried:
        tried += len(batch) - total.untried
    return Acted(tried, left, total, last=last if left else None)


def purge_chosen(kept: "QuerySet[QuarantinedMessage]") -> Acted:
    ids = _oldest(kept)
    with in_parts():
        purged = quarantine.purge(wiring.database_connection(), ids)
        left = kept.count()
    return Acted(len(ids), left, Outcome(), purged)


def _oldest(kept: "QuerySet[QuarantinedMessage]") -> list[int]:
    return list(kept.order_by("pk").values_list("pk", flat=True)[:MAX_AT_ONCE])
