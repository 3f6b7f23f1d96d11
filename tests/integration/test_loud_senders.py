"""A gateway that sends rubbish for ever shows up by itself: in `tds status`, and on its own tenant's dashboard."""

import json
import shlex
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from typer import Typer
from typer.testing import CliRunner

from tds import wiring
from tds.fleet.models import Gateway, Membership, Tenant, User
from tds.ingest import loud_senders
from tds.ingest.loud_senders import LOUD_MESSAGES
from tds.ingest.models import QuarantineCount, QuarantinedMessage
from tds.ingest.quarantine import Bounds, Refused, keep
from tds.ingest.reasons import Reason
from tds.quarantine_commands import quarantine_app
from tds.status import Part, State, healthy
from tds.status.quarantine import examine_quarantine
from tests import seeding

pytestmark = pytest.mark.django_db

DASHBOARD: Final = "/tds_new/telemetria/"
A_DAY: Final = timedelta(hours=24, minutes=1)
APP: Final = Typer()
APP.add_typer(quarantine_app, name="quarantine")


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-7")


def refuse(
    of: Gateway | str, count: int, reason: Reason = Reason.NOT_JSON, *, ago: timedelta = timedelta(minutes=5)
) -> None:
    """Messages of a gateway, or of a code that is nobody's."""
    known = of if isinstance(of, Gateway) else None
    code = of.code if isinstance(of, Gateway) else of
    gateway_id, tenant_id = (known.pk, known.tenant_id) if known else (None, None)
    topic = f"telemetry/{code}/D01/data"
    refused = Refused(reason, "What is wrong.", gateway_id, tenant_id, code, topic, b"rubbish")
    keep(wiring.database_connection(), [refused] * count, wiring.quarantine_bounds(), now=timezone.now() - ago)


def part() -> Part:
    return examine_quarantine(database_there=True)


def bounded(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    whole = {"per_gateway": 1_000, "messages": 100_000, "total_bytes": 1024**3} | bounds
    monkeypatch.setattr(wiring, "quarantine_bounds", lambda: Bounds(**whole))


def dashboard(user: User, language: str = "en") -> str:
    client = Client(headers={"Accept-Language": language})
    client.force_login(user)
    text: str = client.get(DASHBOARD).content.decode()
    return text


# tds status


def test_who_sends_rubbish_for_ever_is_named_with_what_to_do_and_nothing_fails(
    tenant: Tenant, gateway: Gateway
) -> None:
    refuse(seeding.gateway(tenant, "GW-8"), LOUD_MESSAGES)
    refuse(gateway, 250)
    found = part()
    assert found == Part(
        "quarantine",
        State.WARNING,
        "Gateway GW-7 of acme sent at least 250 messages in the last 24 hours that were refused, "
        "most of them as not_json. 1 more did as well.",
        "Look at them with ./tds quarantine list --gateway GW-7 and correct or disable what sends them.",
    )
    assert healthy([found])


def test_a_gateway_that_was_wrong_now_and_then_is_not_named(gateway: Gateway) -> None:
    refuse(gateway, LOUD_MESSAGES - 1)
    assert part().state is State.HEALTHY
    assert part().detail == "0% full; no gateway had 100 messages or more refused in the last 24 hours."
    refuse(gateway, 1)
    assert part().state is State.WARNING


def test_more_than_is_kept_is_said_to_be_at_least_that(gateway: Gateway) -> None:
    for _ in range(3):
        refuse(gateway, wiring.quarantine_bounds().per_gateway)
    assert "sent at least 1,000 messages in the last 24 hours" in part().detail


def test_a_mixture_of_reasons_adds_up(gateway: Gateway) -> None:
    refuse(gateway, 40, Reason.NOT_JSON)
    refuse(gateway, 45, Reason.BAD_VALUE)
    refuse(gateway, 15, Reason.BAD_TIMESTAMP)
    assert "at least 100 messages in the last 24 hours that were refused, most of them as bad_value" in part().detail


def test_what_is_over_is_no_warning(gateway: Gateway) -> None:
    refuse(gateway, 500, ago=A_DAY)
    refuse(gateway, 1)
    assert part().state is State.HEALTHY


def test_what_was_replayed_is_no_warning(gateway: Gateway) -> None:
    refuse(gateway, 500)
    QuarantinedMessage.objects.update(replayed_at=timezone.now())
    assert part().state is State.HEALTHY


def test_readings_of_a_previous_owner_are_nobodys_fault(gateway: Gateway) -> None:
    refuse(gateway, 500, Reason.PREVIOUS_OWNER)
    assert part().state is State.HEALTHY


def test_where_quarantine_keeps_few_fewer_are_loud(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, per_gateway=10)
    refuse(gateway, 9)
    assert part().state is State.HEALTHY
    refuse(gateway, 500)
    assert "at least 10 messages" in part().detail


@pytest.mark.parametrize("code", ["GW-X", "$(reboot)", "a b", "o'x; reboot"])
def test_an_unknown_gateway_is_named_and_its_code_does_nothing_in_a_shell(code: str) -> None:
    refuse(code, LOUD_MESSAGES, Reason.UNKNOWN_GATEWAY)
    found = part()
    assert found.detail.startswith(f"Gateway {code}, which nobody registered, sent at least 100 messages")
    command = found.action.removeprefix("Look at them with ").removesuffix(" and correct or disable what sends them.")
    assert shlex.split(command) == ["./tds", "quarantine", "list", "--gateway", code]


def test_a_code_that_would_move_the_readers_cursor_is_escaped() -> None:
    refuse("\x1b[2J", LOUD_MESSAGES)
    found = part()
    assert "\x1b" not in found.detail + found.action
    assert "./tds quarantine list --tenant - " in found.action


def test_strangers_that_send_each_under_another_code_show_up_together() -> None:
    for n in range(LOUD_MESSAGES):
        refuse(f"GW-{n}", 1, Reason.UNKNOWN_GATEWAY)
    assert part().detail.startswith("Unknown gateways, under many codes or none, sent at least 100 messages")


def test_a_script_that_posts_rubbish_shows_up_by_its_tenant(tenant: Tenant) -> None:
    refused = Refused(Reason.NOT_JSON, "What is wrong.", None, tenant.pk, "", "", b"rubbish")
    keep(wiring.database_connection(), [refused] * LOUD_MESSAGES, wiring.quarantine_bounds(), now=timezone.now())
    found = part()
    assert found.detail.startswith("Somebody with a token of acme, without a gateway's code, sent at least 100")
    assert "./tds quarantine list --tenant acme " in found.action


def test_a_quarantine_full_of_many_quiet_senders_is_said(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, messages=30)
    for n in range(10):
        refuse(seeding.gateway(tenant, f"GW-{n}"), 10)
    found = part()
    assert found.state is State.WARNING
    assert found.detail.startswith("100% full with messages of many senders")
    assert "./tds quarantine purge" in found.action


def test_without_a_database_it_is_unknown_and_no_failure_of_its_own() -> None:
    found = examine_quarantine(database_there=False)
    assert (found.state, found.action) == (State.WARNING, "See database.")


# The tenant's dashboard


def test_a_tenant_is_told_of_its_loud_gateway_where_it_looks_anyway(tenant: Tenant, gateway: Gateway) -> None:
    ana = seeding.person("ana", tenant)
    assert 'class="notice loud"' not in dashboard(ana)
    refuse(gateway, 1_000)
    page = dashboard(ana)
    assert "At least 1,000 messages of gateway GW-7 were refused in the last 24 hours." in page
    assert "correct how it writes its messages" in page
    assert 'href="/tds_new/telemetria/quarentena/?gateway=GW-7"' in page
    assert "other gateway" not in page
    refuse(seeding.gateway(tenant, "GW-8"), LOUD_MESSAGES)
    assert "So were those of 1 other gateway." in dashboard(ana)
    in_portuguese = dashboard(ana, "pt-br")
    assert "Pelo menos 1.000 mensagens do gateway GW-7 foram recusadas nas últimas 24 horas." in in_portuguese
    assert "não é um objeto JSON" in in_portuguese


def test_another_tenants_loud_gateway_is_never_named(tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, 1_000)
    refuse("GW-X", 1_000)
    other = seeding.person("bia", seeding.tenant("other"))
    operator = User.objects.create_superuser("operador", password="correct horse")
    Membership.objects.create(user=operator, tenant=other.memberships.get().tenant)
    for user in (other, seeding.person("sem"), operator):
        page = dashboard(user)
        assert 'class="notice loud"' not in page
        assert "GW-7" not in page
        assert "GW-X" not in page


def test_the_notice_costs_one_statement(gateway: Gateway) -> None:
    refuse(gateway, LOUD_MESSAGES)
    with CaptureQueriesContext(connection) as asked:
        dashboard(seeding.person("ana", gateway.tenant))
    of_quarantine = [query["sql"] for query in asked if "quarantine" in query["sql"]]
    assert len(of_quarantine) == 1


def test_of_a_person_without_a_tenant_nothing_is_asked() -> None:
    with CaptureQueriesContext(connection) as asked:
        dashboard(seeding.person("sem"))
    assert [query["sql"] for query in asked if "quarantine" in query["sql"]] == []


# tds quarantine list


def listed(*words: str) -> Any:
    result = CliRunner().invoke(APP, ["quarantine", "list", *words, "--json"])
    assert result.exit_code == 0, result.output
    return [(row["gateway_code"], row["total"], row["kept"]) for row in json.loads(result.stdout)["groups"]]


def test_the_list_begins_with_who_ever_sent_most_and_not_with_who_is_kept_most(
    tenant: Tenant, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, per_gateway=10)
    refuse(seeding.gateway(tenant, "GW-8"), 10)
    for _ in range(5):
        refuse(gateway, 8)
    refuse("GW-X", 9)
    QuarantinedMessage.objects.filter(gateway=gateway)[:1].get().delete()  # as after a purge
    assert listed() == [("GW-7", 40, 9), ("GW-8", 10, 10), ("GW-X", 9, 9)]
    assert listed("--limit", "1") == [("GW-7", 40, 9)]
    shown = CliRunner().invoke(APP, ["quarantine", "list"]).stdout
    assert shown.index("GW-7") < shown.index("GW-8")
    assert "total" in shown


def test_the_count_and_the_day_agree_with_the_rows(gateway: Gateway) -> None:
    refuse(gateway, 120, ago=A_DAY)
    refuse(gateway, 130)
    now: datetime = timezone.now()
    [loud] = loud_senders.loud_gateways(QuarantineCount.objects.all(), wiring.quarantine_bounds(), now=now)
    assert loud == loud_senders.Loud("GW-7", "acme", "not_json", 130)
