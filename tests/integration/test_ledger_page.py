"""The ledger's page and its JSON: a tenant's own numbers, and nobody's for the platform operator alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from tds.fleet.models import Membership, Role, Tenant, User
from tds.ingest import ledger_spans
from tds.ingest.ledger import HOURS_KEPT, Totals
from tds.ingest.models import LedgerHour
from tests import seeding

pytestmark = pytest.mark.django_db

PAGE: Final = "/tds_new/telemetria/registro/"
JSON: Final = "/tds_new/telemetria/api/registro/"
SAO_PAULO: Final = ZoneInfo("America/Sao_Paulo")


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def signed_in(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def hour(tenant: Tenant | None, ago: timedelta, sums: Totals) -> None:
    start = (timezone.now() - ago).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    LedgerHour.objects.create(tenant=tenant, hour=start, **sums._asdict())


def numbers(page: str) -> list[list[str]]:
    """The cells of each row of the tables."""
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)[1:]]


def test_a_viewer_sees_what_became_of_the_tenants_messages_and_nobody_elses(tenant: Tenant) -> None:
    hour(tenant, timedelta(0), Totals(10, 8, 2, 16, 15, 1))
    hour(tenant, timedelta(hours=3), Totals(5, 5, 0, 5, 5, 0))
    hour(seeding.tenant("other"), timedelta(0), Totals(777, 777, 0, 777, 777, 0))
    hour(None, timedelta(0), Totals(888, 0, 888, 0, 0, 0))
    client = signed_in(seeding.person("ana", tenant, role=Role.VIEWER))

    document = client.get(JSON).json()
    assert document["cliente"] == "acme"
    assert document["sem_cliente"] is None
    assert document["confere"] is True
    assert [row["recebidas"] for row in document["horas"]] == [0] * 20 + [5, 0, 0, 10]
    assert len(document["dias"]) == 30
    assert document["total"] == {
        "recebidas": 15,
        "aceitas": 13,
        "quarentena": 2,
        "leituras": 21,
        "armazenadas": 20,
        "duplicadas": 1,
    }
    page = client.get(PAGE).content.decode()
    assert "Of 15 messages in 30 days, 13 were accepted and 2 went into quarantine." in page
    assert "It balances" in page
    assert numbers(page)[0] == ["10", "8", "2", "16", "15", "1"]
    assert "777" not in page
    assert "888" not in page


def test_the_platform_operator_also_sees_what_is_nobodys(tenant: Tenant) -> None:
    hour(None, timedelta(0), Totals(888, 0, 888, 0, 0, 0))
    operator = User.objects.create_superuser("operador", password="correct horse")
    client = signed_in(operator)
    assert client.get(JSON).json()["sem_cliente"]["total"]["quarentena"] == 888
    page = client.get(PAGE).content.decode()
    assert "Messages that belong to no company" in page
    assert "888" in page
    Membership.objects.create(user=operator, tenant=tenant)
    assert client.get(PAGE).content.decode().count("<canvas") == 4


def test_a_person_of_no_tenant_sees_that_and_no_number(tenant: Tenant) -> None:
    hour(tenant, timedelta(0), Totals(777, 777, 0, 777, 777, 0))
    client = signed_in(seeding.person("sem"))
    assert client.get(JSON).json()["total"]["recebidas"] == 0
    page = client.get(PAGE).content.decode()
    assert "You belong to no company yet" in page
    assert "777" not in page


def test_an_hour_that_does_not_add_up_is_said(tenant: Tenant) -> None:
    hour(tenant, timedelta(hours=1), Totals(10, 8, 1, 16, 16, 0))
    client = signed_in(seeding.person("ana", tenant))
    assert client.get(JSON).json()["confere"] is False
    page = client.get(PAGE).content.decode()
    assert "It does not balance." in page
    assert 'data-level="error"' in page


def test_large_numbers_are_grouped_in_the_readers_language(tenant: Tenant) -> None:
    hour(tenant, timedelta(0), Totals(1_234_567, 1_234_567, 0, 1_234_567, 1_234_567, 0))
    client = signed_in(seeding.person("ana", tenant))
    assert "Of 1,234,567 messages" in client.get(PAGE).content.decode()
    in_portuguese = client.get(PAGE, headers={"Accept-Language": "pt-BR"}).content.decode()
    assert "1.234.567" in in_portuguese


# The rules


def rows(*moments: datetime) -> Any:
    return [LedgerHour(hour=moment, received=1, accepted=1) for moment in moments]


def test_an_hour_belongs_to_the_day_of_the_tenants_zone_that_it_begins_on() -> None:
    now = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
    late_in_the_evening = datetime(2026, 2, 18, 2, tzinfo=UTC)  # 23:00 of the 17th
    days = ledger_spans.by_day(rows(late_in_the_evening), SAO_PAULO, now=now)
    assert [str(day.start) for day in days if day.sums.received] == ["2026-02-17"]
    assert (len(days), str(days[0].start), str(days[-1].start)) == (30, "2026-01-20", "2026-02-18")


def test_hours_before_the_first_day_shown_are_in_none() -> None:
    now = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
    first = ledger_spans.first_day(SAO_PAULO, now=now)
    days = ledger_spans.by_day(rows(first - timedelta(hours=1), first), SAO_PAULO, now=now)
    assert sum(day.sums.received for day in days) == days[0].sums.received == 1


def test_the_days_shown_are_never_older_than_the_hours_that_are_kept() -> None:
    now = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"):
        assert now - ledger_spans.first_day(ZoneInfo(zone), now=now) < HOURS_KEPT - timedelta(days=1)
