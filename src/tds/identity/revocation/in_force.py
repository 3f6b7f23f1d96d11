"""Waiting until the brokers act on what was done to a gateway, and what to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.utils import timezone

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.models import BrokerAccess, Certificate, GatewayPassword, RevocationList
from tds.identity.revocation.listed import KEPT_AFTER_END
from tds.identity.revocation.notices import ACCESS
from tds.identity.revocation.taken import Broker, Held, Stage, taken

LIMIT_S: Final = 5.0
LOOK_EVERY_S: Final = 0.03
LISTED_AFTER_END: Final = KEPT_AFTER_END - timedelta(hours=1)  # within the hour the worker's clock may see it fall off
NO_AGENT: Final = "no broker's agent has ever run; start it with ./tds up"
NOT_SIGNED: Final = "the worker has not signed a new revocation list; see ./tds status"
NOT_TAKEN: Final = "it has not said why; see that its agent runs: ./tds status"


class Outcome(NamedTuple):
    """`in_force` None: no broker lets such a gateway in, so none had to do anything. `trouble`: what is in the way."""

    in_force: bool | None
    took_s: float
    trouble: str = ""

    def document(self) -> dict[str, Any]:
        took = round(self.took_s, 3) if self.in_force else None
        return {"in_force": self.in_force, "in_force_after_s": took, "trouble": self.trouble}

    def told(self, what: str) -> str:
        """The end of a sentence on the deed; `what` the brokers did."""
        if self.in_force is None:
            return ""
        if self.in_force:
            return f": {what} after {self.took_s:.{1 if self.took_s >= 1 else 2}f} s"
        trouble = self.trouble.rstrip(".")
        return f", but the brokers have not taken it within {self.took_s:.0f} s, and go on trying: {trouble}"


@dataclass(slots=True)
class Following:
    """One gateway, followed from before the deed. Make it, do the deed, then `wait`."""

    gateway: Gateway
    _began: float = 0.0
    _password: bool = False

    def __post_init__(self) -> None:
        self._began = monotonic()
        self._password = GatewayPassword.objects.filter(gateway=self.gateway).exists()

    def wait(self, limit_s: float = LIMIT_S) -> Outcome:
        """Until all brokers act on it, up to so long."""
        deadline = self._began + limit_s
        since = _ask_agents()
        while True:
            stage, trouble = self._look(since)
            if stage is Stage.NO_CERTIFICATE:
                return Outcome(None, 0.0)
            if stage is Stage.DONE:
                return Outcome(True, monotonic() - self._began)
            if monotonic() >= deadline:
                return Outcome(False, monotonic() - self._began, trouble)
            sleep(LOOK_EVERY_S)

    def _look(self, since: datetime) -> tuple[Stage, str]:
        rows = list(BrokerAccess.objects.all())
        seen = taken(
            held(Certificate.objects.filter(gateway=self.gateway), timezone.now()),
            dict(RevocationList.objects.values_list("issuer", "revision")),
            [Broker(row.broker, row.revision, row.applied_at, row.as_of) for row in rows],
            admitted=self.gateway.status == GatewayStatus.ACTIVE,
            changed_at=None,
            password=self._password,
            looked_since=since,
        )
        return seen.stage, _trouble(seen.stage, [row for row in rows if row.broker in seen.behind])


def follow(gateway: Gateway) -> Following:
    return Following(gateway)


def held(certificates: "QuerySet[Certificate]", now: datetime) -> list[Held]:
    """Of a thousand in the same state one says it."""
    revoked, ended, fallen_off = (
        ExpressionWrapper(condition, BooleanField())
        for condition in (Q(revoked_at__isnull=False), Q(not_after__lt=now), Q(not_after__lt=now - LISTED_AFTER_END))
    )
    found = certificates.order_by().values_list("issuer", revoked, "listed_in", ended, fallen_off).distinct()
    return [Held(*row) for row in found]


def _trouble(stage: Stage, behind: Sequence[BrokerAccess]) -> str:
    match stage:
        case Stage.SIGNING:
            return NOT_SIGNED
        case Stage.NO_BROKER:
            return NO_AGENT
        case _:
            return " ".join(f"{row.broker}: {row.detail or NOT_TAKEN}" for row in behind)


def _ask_agents() -> datetime:
    """Have them look again. Of what was committed before this moment they say when it holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [moment] = cursor.fetchone()
        cursor.execute(f"NOTIFY {ACCESS}")
    since: datetime = moment
    return since
