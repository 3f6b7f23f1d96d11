"""A gateway's own page: what it runs, its update, and a person's wish that it looks for one now."""

import re
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from tds import wiring
from tds.fleet import audit
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Role, Tenant, User
from tds.updates.executions import tickets
from tds.updates.models import Execution, Rollout, RunningFirmware
from tds.updates.rollouts import checking, desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.rollout_commands import rollout_app
from tds.updates.signed.keys import PrivateKey
from tests import rolling_out, seeding
from tests.refusing import level_and_notice, signed_in, text_of
from tests.rolling_out import EVERYBODY, QUICK

pytestmark = pytest.mark.django_db

PAGE: Final = "/tds_new/gateways/GW-000000/"


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    [made] = rolling_out.gateways(tenant, 1)
    return made


@pytest.fixture
def operator(tenant: Tenant) -> Client:
    return signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))


@pytest.fixture
def rollout(gateway: Gateway) -> Rollout:
    return rolling_out.launched(rolling_out.release(), waves="100 %")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = PrivateKey.new()
    monkeypatch.setattr(tickets, "assignment_key", lambda: key)


def panel(client: Client) -> str:
    page = text_of(client.get(PAGE))
    return re.split(r"</section>", page.split('data-key="firmware"', 1)[1], maxsplit=1)[0]


def words(client: Client) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", panel(client))))


def ask(client: Client, gateway: Gateway) -> tuple[str, str]:
    answer = client.post(f"{PAGE}acao/", {"acao": "verificar", "id": gateway.pk}, follow=True)
    assert answer.status_code == 200
    return level_and_notice(text_of(answer))


def test_what_runs_is_told_as_the_gateway_reported_it(gateway: Gateway, operator: Client) -> None:
    RunningFirmware.objects.update(slot=1, confirmed=False, boot_reason="update", trust_version=7, trust_expired=True)
    said = words(operator)
    assert "Runs 1.0.0 on trial SHA-256 aaaaaaaaaaaa… Slot 1 Started" in said
    assert "update Trust set 7 expired" in said
    assert "Last update" not in said
    RunningFirmware.objects.update(confirmed=True, trust_version=0, trust_expired=False)
    assert "Runs 1.0.0 confirmed" in words(operator)
    assert "Trust set – " in words(operator)


def test_a_gateway_that_has_not_reported_is_said_to_be_one(gateway: Gateway, operator: Client) -> None:
    RunningFirmware.objects.all().delete()
    assert "It has not reported yet what it runs." in words(operator)


def test_the_last_update_leads_to_its_rollout(rollout: Rollout, operator: Client) -> None:
    Execution.objects.update(status="FAILED", reason="self_test_failed", detail="no sensor <b>")
    assert f'<a href="/tds_new/atualizacoes/{rollout.pk}/">dcu 1.1.0</a>' in panel(operator)
    assert "failed The new image's self-test failed" in words(operator)
    assert "no sensor &lt;b&gt;" in panel(operator)


def test_an_update_of_the_whole_platforms_is_told_without_a_link(gateway: Gateway, operator: Client) -> None:
    rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")
    desk.launch(COMMAND_LINE, Plan(rolling_out.release(), EVERYBODY, "100 %", QUICK), now=timezone.now())
    assert "Last update dcu 1.1.0 waiting" in words(operator)
    assert "atualizacoes/" not in panel(operator).replace("atualizacoes/nova/", "")


def test_a_viewer_looks_and_is_offered_no_deed(tenant: Tenant, rollout: Rollout, gateway: Gateway) -> None:
    viewer = signed_in(seeding.person("vera", tenant))
    assert "1.0.0" in panel(viewer)
    assert "<form" not in panel(viewer)
    assert "nova/" not in panel(viewer)
    assert viewer.post(f"{PAGE}acao/", {"acao": "verificar", "id": gateway.pk}).status_code == 403


def test_the_button_leads_to_the_wizard_with_that_gateway_chosen(gateway: Gateway, operator: Client) -> None:
    rolling_out.release()
    [address] = re.findall(r'href="(/tds_new/atualizacoes/nova/[^"]*)"', panel(operator))
    page = text_of(operator.get(unescape(address)))
    assert "GW-000000</textarea>" in page
    assert 'value="escolher" checked' in page
    Gateway.objects.update(status=GatewayStatus.DISABLED)
    assert "nova/" not in panel(operator)


def test_asked_to_check_a_gateway_gets_its_command_again(rollout: Rollout, gateway: Gateway, operator: Client) -> None:
    assert 'value="verificar"' in panel(operator)
    level, notice = ask(operator, gateway)
    assert (level, notice) == (
        "info",
        "The turn of GW-000000 has not come yet: its rollout's waves, limits or window say when.",
    )
    Rollout.objects.update(current_wave=1)
    rollout.waves.update(opened_at=timezone.now(), offers_until=timezone.now())
    level, notice = ask(operator, gateway)
    assert (level, notice) == ("info", "GW-000000 is told of its update, as soon as it is connected.")
    execution = Execution.objects.get()
    assert execution.ticket
    seq = execution.seq
    Execution.objects.update(pushed_at=timezone.now())
    assert ask(operator, gateway)[1].startswith("GW-000000 is told")
    execution.refresh_from_db()
    assert (execution.pushed_at, execution.seq) == (None, seq)
    Execution.objects.update(status="IN_PROGRESS", phase="downloading")
    assert ask(operator, gateway) == ("info", "GW-000000 is at its update already.")
    Execution.objects.update(status="SUCCEEDED", phase="")
    assert ask(operator, gateway) == ("info", "There is no update for GW-000000.")
    assert 'value="verificar"' not in panel(operator)


def test_who_asked_a_gateway_to_check_and_what_came_of_it_is_in_the_audit_trail(
    tenant: Tenant, rollout: Rollout, gateway: Gateway, operator: Client
) -> None:
    ask(operator, gateway)
    Rollout.objects.update(current_wave=1)
    rollout.waves.update(opened_at=timezone.now(), offers_until=timezone.now())
    ask(operator, gateway)
    Execution.objects.update(status="SUCCEEDED", phase="")
    ask(operator, gateway)
    entries = audit.of_gateway(gateway).filter(action=AuditAction.UPDATE_CHECKED).order_by("pk")
    assert [each.detail for each in entries] == [{"outcome": "waits"}, {"outcome": "told"}, {"outcome": "nothing"}]
    olga = User.objects.get(username="olga")
    assert {(each.actor, each.actor_id, each.tenant_id) for each in entries} == {("olga", olga.pk, tenant.pk)}
    history = unescape(text_of(operator.get(PAGE)))
    assert "asked to look for its update" in history
    assert "outcome: told of its update" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", history))


def test_a_check_whose_entry_can_not_be_written_is_not_done(
    rollout: Rollout, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_keywords: object) -> None:
        raise OperationalError

    Rollout.objects.update(current_wave=1)
    rollout.waves.update(opened_at=timezone.now(), offers_until=timezone.now())
    monkeypatch.setattr(audit, "note", full)
    with pytest.raises(OperationalError):
        checking.check_one(gateway, by="tests", now=timezone.now(), may_offer=wiring.may_offer)
    assert Execution.objects.get().ticket == ""


def test_the_command_line_asking_all_to_check_is_in_the_audit_trail() -> None:
    CliRunner().invoke(rollout_app, ["check-now", "--json"], catch_exceptions=False)
    [entry] = AuditEntry.objects.filter(action=AuditAction.FLEET_CHECKED)
    assert (entry.actor, entry.object_kind, entry.object_name, entry.tenant_id) == (
        "command line",
        "fleet",
        "all gateways",
        None,
    )


def test_a_ticket_key_that_can_not_be_used_is_a_sentence(
    rollout: Rollout, gateway: Gateway, operator: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unusable() -> Any:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(tickets, "assignment_key", unusable)
    Rollout.objects.update(current_wave=1)
    rollout.waves.update(opened_at=timezone.now(), offers_until=timezone.now())
    level, notice = ask(operator, gateway)
    assert (level, "key for tickets can't be used" in notice) == ("error", True)
    assert str(tmp_path) not in notice
    assert Execution.objects.get().ticket == ""
    assert not AuditEntry.objects.filter(action=AuditAction.UPDATE_CHECKED).exists()
