"""What the database is told of a few hundred units: gateways, sites, certificates, the audit trail. One transaction."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import serialization
from django.db import IntegrityError, transaction

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, Site
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.crl import Reason
from tds.identity.factory import unit_folder
from tds.identity.factory.box import Box
from tds.identity.factory.provisioning_rules import Issue
from tds.identity.factory.unit_folder import Credentials
from tds.identity.factory.units import Unit
from tds.identity.issued import issuing
from tds.identity.models import Certificate, How
from tds.identity.names import shown
from tds.identity.revocation import handover


class ChangedMeanwhileError(Exception):
    """Somebody else changed a gateway between the judgement and now; the text is a sentence."""


Issues = Sequence[tuple[Unit, Issue]]


@dataclass(slots=True)
class Records:
    """Of one run."""

    authority: Authority
    by: str  # for the audit trail
    box: Box
    tenants: Mapping[str, int]  # ids by slug
    _sites: dict[tuple[int, str], int] = field(default_factory=dict)

    def give(self, issues: Issues, *, now: datetime) -> dict[str, Credentials]:
        """Register the units and give each a key and a certificate; all that by code.

        Raises ChangedMeanwhileError, OSError, and what the database raises.
        """
        private = {unit.code: keys.new_key() for unit, _decision in issues}
        issuer_pem = self.authority.certificate.public_bytes(serialization.Encoding.PEM)
        try:
            with transaction.atomic():
                self._check_codes(issues, now)
                self._make_sites(issues)
                gateways = self._register(issues)
                _check_certificates(issues)
                wanted = [issuing.Wanted(gateways[code], key.public_key()) for code, key in private.items()]
                certificates = issuing.issue_many(self.authority, wanted, How.FACTORY, now=now)
                given = {
                    code: unit_folder.credentials(key, certificate, issuer_pem)
                    for (code, key), certificate in zip(private.items(), certificates, strict=True)
                }
                self._supersede(issues, gateways, now=now)
                audit.note_many(AuditAction.PROVISIONED, self._told(gateways, given), by=self.by)
                # Before the commit: a certificate that is recorded is one whose key is kept.
                self.box.journal.write(given)
        except IntegrityError as error:
            raise ChangedMeanwhileError(
                "One of the next gateways was registered by somebody else meanwhile; run it again to see which."
            ) from error
        return given

    def _told(
        self, gateways: Mapping[str, Gateway], given: Mapping[str, Credentials]
    ) -> Iterator[tuple[Gateway, audit.Detail]]:
        for code, own in given.items():
            yield gateways[code], {"box": self.box.name, "serial": own.serial}

    def _check_codes(self, issues: Issues, now: datetime) -> None:
        """One may have been another tenant's between the judgement and now, and be retired since."""
        new = {unit.code: self.tenants[unit.tenant] for unit, decision in issues if decision.gateway_id is None}
        for sentence in handover.obstacles(new, now=now).values():
            raise ChangedMeanwhileError(sentence)

    def _make_sites(self, issues: Issues) -> None:
        """Have the ids of all sites that are named; those that are new are made."""
        wanted = {(self.tenants[unit.tenant], unit.site) for unit, _ in issues if unit.site} - self._sites.keys()
        if not wanted:
            return
        named = Site.objects.filter(tenant__in={t for t, _name in wanted}, name__in={name for _t, name in wanted})
        there = set(named.values_list("tenant", "name"))
        missing = [Site(tenant_id=tenant, name=name) for tenant, name in sorted(wanted - there)]
        Site.objects.bulk_create(missing, ignore_conflicts=True)  # somebody may make one at the same moment
        self._sites |= {(tenant, name): pk for tenant, name, pk in named.values_list("tenant", "name", "pk")}

    def _register(self, issues: Issues) -> dict[str, Gateway]:
        """The gateways by code: new ones are registered, others locked and told what the rows say of them."""
        present = {gateway.code: gateway for gateway in _locked(issues)}
        new = {}
        for unit, decision in issues:
            tenant = self.tenants[unit.tenant]
            gateway = present.get(unit.code)
            if decision.gateway_id is None:
                gateway = new[unit.code] = Gateway(tenant_id=tenant, code=unit.code)
            if gateway is None or gateway.status != GatewayStatus.ACTIVE or gateway.tenant_id != tenant:
                raise ChangedMeanwhileError(
                    f"Line {unit.line}: gateway {shown(unit.code)} was changed by somebody meanwhile; run it again."
                )
            gateway.family, gateway.hardware = unit.family or gateway.family, unit.hardware or gateway.hardware
            gateway.site_id = self._sites[tenant, unit.site] if unit.site else gateway.site_id
        # In the order of the codes: two runs that register the same ones can't wait for each other.
        Gateway.objects.bulk_create(sorted(new.values(), key=lambda each: each.code))
        Gateway.objects.bulk_update(present.values(), ["family", "hardware", "site"])
        return present | new

    def _supersede(self, issues: Issues, gateways: Mapping[str, Gateway], *, now: datetime) -> None:
        """Revoke what the new certificates replace (RFC 5280, 5.3.1: superseded)."""
        old = [(gateways[unit.code], given) for unit, decision in issues for given in decision.superseded]
        if not old:
            return
        reason = Reason.superseded.value
        rows = Certificate.objects.filter(pk__in=[given.id for _gateway, given in old], revoked_at=None)
        rows.update(revoked_at=now, revocation_reason=reason)
        told: list[tuple[Gateway, audit.Detail]] = [
            (gateway, {"serial": given.serial, "reason": reason}) for gateway, given in old
        ]
        audit.note_many(AuditAction.CERTIFICATE_REVOKED, told, by=self.by)


def _check_certificates(issues: Issues) -> None:
    """Whether the gateways, which are locked, have the certificates that they were judged by: one may have claimed.

    Raises ChangedMeanwhileError.
    """
    judged = {decision.gateway_id: (unit, decision) for unit, decision in issues if decision.gateway_id is not None}
    unrevoked: dict[int, set[str]] = defaultdict(set)
    rows = Certificate.objects.filter(gateway__in=list(judged), revoked_at=None)
    for gateway_id, serial in rows.values_list("gateway", "serial"):
        unrevoked[gateway_id].add(serial)
    for gateway_id, (unit, decision) in judged.items():
        if unrevoked[gateway_id] != decision.unrevoked:
            raise ChangedMeanwhileError(
                f"Line {unit.line}: gateway {shown(unit.code)} was given a certificate, or lost one, meanwhile; run it "
                "again to see which."
            )


def _locked(issues: Iterable[tuple[Unit, Issue]]) -> Iterator[Gateway]:
    ids = [decision.gateway_id for _unit, decision in issues if decision.gateway_id is not None]
    if ids:
        yield from Gateway.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
