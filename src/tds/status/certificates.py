"""Which certificates run out, and whether those that were revoked are refused."""

from django.db import Error as DatabaseError
from django.utils import timezone

from tds.environment import Environment
from tds.heartbeat import Heartbeat
from tds.identity.authorities.own_certificates import own_certificates
from tds.identity.issued import findings, given
from tds.identity.issued.expiry import Outlook
from tds.identity.models import BrokerAccess, Certificate, RevocationList
from tds.identity.revocation import lists_in_force
from tds.status.part import Part, State


def examine_certificates(environment: Environment, *, database_there: bool) -> Part:
    """Which run out, of gateways and of the platform itself."""
    now, own = timezone.now(), own_certificates(environment.home / "tls")
    gateways, unknown = Outlook([], [], []), not database_there
    if database_there:
        try:
            gateways = given.running_out(now=now)
        except DatabaseError:
            unknown = True
    found = findings.findings(own, gateways, now=now)
    if found:
        state = State.UNHEALTHY if found[0].urgent else State.WARNING
        told = (" ".join(finding.detail for finding in found), " ".join(finding.action for finding in found))
        return Part("certificates", state, *told)
    if unknown:
        return Part("certificates", State.WARNING, "Of gateways unknown: the database is away.", "See database.")
    return Part("certificates", State.HEALTHY, findings.well(own))


def examine_revocation(*, database_there: bool) -> Part:
    away = Part("revocation", State.UNHEALTHY, "Unknown: the database is away.", "See database.")
    if not database_there:
        return away
    try:
        lists = RevocationList.objects.values_list("issuer", "revision", "next_update")
        brokers = BrokerAccess.objects.values_list("broker", "revision", "detail")
        refused = Certificate.objects.filter(listed_in__isnull=False, not_after__gt=timezone.now()).count()
        worker = Heartbeat.objects.filter(process="worker").first()
        verdict = lists_in_force.judge(
            [lists_in_force.List(*row) for row in lists],
            [lists_in_force.Broker(*row) for row in brokers],
            refused,
            worker.facts.get("revoking", "") if worker else "",
            now=timezone.now(),
        )
    except DatabaseError:
        return away
    state = {True: State.HEALTHY, None: State.WARNING, False: State.UNHEALTHY}[verdict.well]
    return Part("revocation", state, verdict.detail, verdict.action)
