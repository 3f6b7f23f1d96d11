"""The audit trail only grows: no code of ours and no SQL of the application's role changes what is written."""

from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.urls import reverse
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.fleet import audit, lifecycle
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Role, Tenant, User
from tds.gateway_commands import gateway_app
from tds.identity.enrolment.claim_commands import claim_app
from tds.identity.issued.certificate_commands import certificate_app
from tds.identity.models import Certificate, How
from tests import seeding

pytestmark = pytest.mark.django_db

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


@pytest.fixture
def ana(gateway: Gateway) -> User:
    return seeding.person("ana", gateway.tenant, role=Role.ADMIN)


def trail() -> list[tuple[Any, ...]]:
    fields = ("actor", "actor_id", "action", "object_kind", "object_name", "detail")
    return list(AuditEntry.objects.order_by("id").values_list(*fields))


def test_an_entry_says_who_did_what_to_which_gateway(gateway: Gateway, ana: User) -> None:
    assert lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
    assert lifecycle.change(gateway, GatewayStatus.ACTIVE, by=audit.COMMAND_LINE, now=NOW)
    assert trail() == [
        ("ana", ana.pk, "gateway.disabled", "gateway", "GW-1", {"before": "active"}),
        ("command line", None, "gateway.enabled", "gateway", "GW-1", {"before": "disabled"}),
    ]
    [newest, _first] = audit.of_gateway(gateway)
    assert (newest.object_id, newest.tenant) == (gateway.pk, gateway.tenant)
    assert abs((newest.at - datetime.now(UTC)).total_seconds()) < 60  # by the database's clock


def test_what_changes_nothing_leaves_no_entry(gateway: Gateway, ana: User) -> None:
    assert not lifecycle.change(gateway, GatewayStatus.ACTIVE, by=ana, now=NOW)
    assert trail() == []


def test_a_retired_gateway_stays_so_and_its_end_is_written_once(gateway: Gateway, ana: User) -> None:
    lifecycle.change(gateway, GatewayStatus.RETIRED, by=ana, now=NOW)
    for status in GatewayStatus:
        with pytest.raises(lifecycle.RetiredError):
            lifecycle.change(gateway, status, by=ana, now=NOW)
    gateway.refresh_from_db()
    assert (gateway.status, gateway.retired_at) == ("retired", NOW)
    assert [entry[2] for entry in trail()] == ["gateway.retired"]


def test_the_second_of_two_people_sees_what_the_first_one_did(gateway: Gateway, ana: User) -> None:
    stale = Gateway.objects.get(pk=gateway.pk)
    lifecycle.change(gateway, GatewayStatus.RETIRED, by=ana, now=NOW)
    with pytest.raises(lifecycle.RetiredError):
        lifecycle.change(stale, GatewayStatus.ACTIVE, by=ana, now=NOW)


def test_a_deed_that_is_rolled_back_leaves_no_entry(gateway: Gateway, ana: User) -> None:
    with transaction.atomic():
        lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
        transaction.set_rollback(True)
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.ACTIVE
    assert trail() == []


def test_a_box_of_gateways_is_written_down_with_few_statements(
    gateway: Gateway, django_assert_max_num_queries: Any
) -> None:
    box = Gateway.objects.bulk_create(Gateway(tenant=gateway.tenant, code=f"GW-B{n}") for n in range(1_500))
    with django_assert_max_num_queries(4):
        audit.note_many(AuditAction.PROVISIONED, ((each, {"box": "42"}) for each in box), by=audit.COMMAND_LINE)
    assert AuditEntry.objects.filter(action=AuditAction.PROVISIONED, detail={"box": "42"}).count() == 1_500


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tds_new_auditentry SET actor = 'nobody'",
        "UPDATE tds_new_auditentry SET detail = '{}' WHERE id = -1",
        "DELETE FROM tds_new_auditentry",
        "INSERT INTO tds_new_auditentry (actor) VALUES ('x') ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
def test_an_entry_that_somebody_wants_to_change_is_refused(gateway: Gateway, ana: User, statement: str) -> None:
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
    before = trail()
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed"),
        transaction.atomic(),
        wiring.database_connection().transaction(),
    ):
        wiring.database_connection().execute(statement)
    assert trail() == before


def test_an_audit_trail_that_somebody_wants_to_empty_is_refused(gateway: Gateway, ana: User) -> None:
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
    with connection.cursor() as cursor:  # as an installation has it; the tests' own database is emptied all the time
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE tds_new_auditentry ENABLE TRIGGER tds_new_audit_is_not_emptied")
    for cascade in ("", " CASCADE"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="TRUNCATE was refused"),
            wiring.database_connection().transaction(),
        ):
            wiring.database_connection().execute(f"TRUNCATE tds_new_auditentry{cascade}")
    assert len(trail()) == 1


def test_an_entry_is_changed_neither_through_django(gateway: Gateway, ana: User) -> None:
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
    entry = AuditEntry.objects.get()
    with pytest.raises(ProgrammingError), transaction.atomic():
        entry.save()
    with pytest.raises(ProgrammingError), transaction.atomic():
        entry.delete()
    with pytest.raises(ProgrammingError), transaction.atomic():
        AuditEntry.objects.update(actor="nobody")


def test_the_trail_outlives_the_person_and_the_tenant_of_it(ana: User) -> None:
    tenant = Tenant.objects.create(slug="gone", name="Gone")
    gateway = seeding.gateway(tenant, "GW-GONE")
    lifecycle.change(gateway, GatewayStatus.RETIRED, by=ana, now=NOW)
    gateway.delete()
    tenant.delete()
    ana.delete()
    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.object_name) == ("ana", "GW-GONE")


def test_the_command_line_leaves_entries_too(gateway: Gateway) -> None:
    for word in ("disable", "disable", "enable", "retire"):
        assert CliRunner().invoke(gateway_app, [word, gateway.code]).exit_code == 0
    assert [(entry[0], entry[2]) for entry in trail()] == [
        ("command line", "gateway.disabled"),
        ("command line", "gateway.enabled"),
        ("command line", "gateway.retired"),
    ]


def test_a_registration_and_a_change_leave_entries(admin_client: Client) -> None:
    tenant = seeding.tenant("acme")
    assert CliRunner().invoke(gateway_app, ["add", "GW-NEW", "--tenant", tenant.slug]).exit_code == 0
    gateway = Gateway.objects.get(code="GW-NEW")
    form = {"code": "GW-NEW", "tenant": tenant.pk, "name": "Roof", "family": "", "hardware": "", "auto_devices": "on"}
    answer = admin_client.post(reverse("admin:tds_new_gateway_change", args=[gateway.pk]), form)
    assert answer.status_code == 302, answer.content.decode()
    assert [(entry.action, entry.actor, entry.detail) for entry in audit.of_gateway(gateway).order_by("id")] == [
        (AuditAction.REGISTERED, audit.COMMAND_LINE, {}),
        (AuditAction.CHANGED, "admin", {"fields": "name"}),
    ]


def test_so_do_its_claim_codes_and_revocations_and_no_secret_is_in_them(gateway: Gateway) -> None:
    def done(app: Typer, *words: str) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    secret = done(claim_app, "add", gateway.code).strip()
    done(claim_app, "revoke", gateway.code)
    certificate = Certificate.objects.create(
        gateway=gateway,
        serial="ab" * 20,
        issuer="device-1",
        fingerprint="cd" * 32,
        how=How.FACTORY,
        not_before=NOW,
        not_after=NOW,
        issued_at=NOW,
    )
    done(certificate_app, "revoke", certificate.serial, "--reason", "keyCompromise")
    assert [(entry[0], entry[2]) for entry in trail()] == [
        ("command line", "claim.made"),
        ("command line", "claim.revoked"),
        ("command line", "certificate.revoked"),
    ]
    assert trail()[-1][-1] == {"serial": certificate.serial, "reason": "keyCompromise"}
    assert secret not in repr(trail())
