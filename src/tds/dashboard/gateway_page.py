"""What one gateway's page shows, gathered in a bounded number of statements whatever the gateway has."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

from tds.dashboard import gateway_facts, gateway_texts, selection
from tds.dashboard.updates import gateway_panel
from tds.devicelink import fleet_health
from tds.fleet import access, audit, tags
from tds.fleet.access import Scope
from tds.fleet.limits import MAX_DEVICES_A_GATEWAY, MAX_TAG_CHARS, MAX_TAGS_A_GATEWAY, MAX_TAGS_A_TENANT
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Role
from tds.identity.issued import certificates, expiry, given
from tds.identity.models import Certificate
from tds.identity.revocation import in_force
from tds.identity.revocation.taken import Broker, Stage, Taken, taken
from tds.ingest import quarantined

MAX_CERTIFICATES: Final = 20  # the newest; a gateway gets one in more than a year
MAX_ENTRIES: Final = 50  # of the audit trail
MAX_FORMER: Final = 10  # gateways that had the same code
ENABLING_SHOWN: Final = timedelta(minutes=10)  # how far the brokers are with letting it in again
STATUS_ACTIONS: Final = (AuditAction.DISABLED, AuditAction.ENABLED, AuditAction.RETIRED)


def context(request: HttpRequest, gateway: Gateway, *, now: datetime) -> dict[str, Any]:
    scope = access.of(request)
    entries = list(scope.filter(audit.of_gateway(gateway), "tenant")[:MAX_ENTRIES])
    # Whoever renews ten times a day can't push the one that was not out of sight: those that can be used come first.
    shown = list(_certificates(scope, gateway).order_by("-not_after", "-id")[: MAX_CERTIFICATES + 1])
    ends_at = given.last_ends([gateway.pk]).get(gateway.pk)
    revisions = dict(given.revocation_lists().values_list("issuer", "revision"))
    reached = _taken(scope, gateway, entries, revisions, now)
    health = fleet_health.of([gateway], now=now)[gateway.pk]
    return {
        "scope": scope,
        "tenant": scope.tenant,
        "zone": selection.zone(scope).key,
        "now": now,
        "gateway": gateway,
        "address": address(gateway),
        "facts": gateway_facts.facts(health, now=now),
        "tags": tags.of([gateway.pk])[gateway.pk],
        "known_tags": list(scope.tags().values_list("name", flat=True)[:MAX_TAGS_A_TENANT]),
        "max_tags_chars": MAX_TAG_CHARS * MAX_TAGS_A_GATEWAY,
        "firmware": health.firmware,
        "ends_at": ends_at,
        "end": expiry.end_of(ends_at, now=now),
        "certificates": [(each, gateway_texts.state(each, revisions, now=now)) for each in shown[:MAX_CERTIFICATES]],
        "more_certificates": len(shown) > MAX_CERTIFICATES,
        "left_by": _left_by(shown, now),
        "claims": list(_open_claims(scope, gateway, now)),
        "newest_claim": newest_claim(scope, gateway),
        "updates": gateway_panel.context(request, gateway),
        "devices": list(scope.devices().filter(gateway=gateway).order_by("code")[:MAX_DEVICES_A_GATEWAY]),
        "refused": list(
            scope.filter(quarantined.counts(), "tenant").filter(gateway=gateway, total__gt=0).order_by("-total")
        ),
        "entries": [
            (entry, gateway_texts.actor(entry), gateway_texts.detail(entry.detail, selection.zone(scope)))
            for entry in entries
        ],
        "more_entries": len(entries) == MAX_ENTRIES,
        "former": [(each, address(each)) for each in _of_the_same_code(scope, gateway)],
        "reached": gateway_texts.reached(reached, admitted=gateway.status == GatewayStatus.ACTIVE) if reached else "",
        "reached_level": "info" if reached and reached.stage in {Stage.DONE, Stage.NO_CERTIFICATE} else "warning",
        "waiting": reached is not None and reached.stage in {Stage.SIGNING, Stage.SPREADING},
        "retired": gateway.status == GatewayStatus.RETIRED,
        "may_operate": scope.may(Role.OPERATOR) and gateway.status != GatewayStatus.RETIRED,
        "may_retire": scope.may(Role.ADMIN) and gateway.status != GatewayStatus.RETIRED,
    }


def _left_by(shown: Sequence[Certificate], now: datetime) -> list[tuple[Certificate, int]]:
    """Revoked certificates, each with the number of good ones that may have been got with it, for who has to see to it.

    One that renewals of another are revoked with is not told of twice.
    """
    found: list[tuple[Certificate, int]] = []
    told: set[int] = set()
    for each in sorted(shown, key=lambda certificate: certificate.pk):
        left = {one.pk for one in certificates.left_by(each, shown, now=now)} if each.revoked_at else set()
        if not left <= told:
            found.append((each, len(left)))
            told |= left
    return found


def address(gateway: Gateway) -> str:
    """The code alone leads to the gateway that has it now; to a retired one its id as well."""
    former = f"?id={gateway.pk}" if gateway.status == GatewayStatus.RETIRED else ""
    return reverse("gateway", args=[gateway.code]) + former


def newest_claim(scope: Scope, gateway: Gateway) -> int:
    """The id of the claim code that was made last, 0 for none: whoever asks for another one has seen it."""
    newest = scope.filter(given.claim_codes(), "gateway__tenant").filter(gateway=gateway).order_by("-pk").first()
    return newest.pk if newest else 0


def _of_the_same_code(scope: Scope, gateway: Gateway) -> Any:
    return scope.gateways().filter(code=gateway.code).exclude(pk=gateway.pk).order_by("-created_at")[:MAX_FORMER]


def _certificates(scope: Scope, gateway: Gateway) -> Any:
    return scope.filter(given.certificates(), "gateway__tenant").filter(gateway=gateway)


def _open_claims(scope: Scope, gateway: Gateway, now: datetime) -> Any:
    codes = scope.filter(given.claim_codes(), "gateway__tenant").filter(gateway=gateway)
    return codes.filter(used_at=None, revoked_at=None, expires_at__gt=now)


def _taken(
    scope: Scope, gateway: Gateway, entries: Sequence[AuditEntry], revisions: dict[str, int], now: datetime
) -> Taken | None:
    """None when nobody has to be told: a gateway that was not disabled of late."""
    changed_at = next((entry.at for entry in entries if entry.action in STATUS_ACTIONS), None)
    admitted = gateway.status == GatewayStatus.ACTIVE
    if admitted and (changed_at is None or now - changed_at > ENABLING_SHOWN):
        return None
    return taken(
        in_force.held(_certificates(scope, gateway), now),
        revisions,
        [Broker(*row) for row in given.brokers().values_list("broker", "revision", "applied_at", "as_of")],
        admitted=admitted,
        changed_at=changed_at,
        password=scope.filter(given.passwords(), "gateway__tenant").filter(gateway=gateway).exists(),
        looked_since=changed_at,
    )
