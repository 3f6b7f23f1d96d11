"""A code that goes to another tenant, on a real broker: not before the former owner's gateway is out for certain."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.utils import timezone

from tds.fleet import audit, lifecycle
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Tenant
from tds.gateway_commands import gateway_app
from tds.identity.access import held_back, reached
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.models import BrokerAccess, Certificate, GatewayPassword
from tds.identity.revocation import handover
from tds.identity.revocation.signing import Revoking
from tests import revoking as revoking_parts
from tests import seeding
from tests.certified import Unit, gets_in, session
from tests.commanding import Commands
from tests.provisioned import Factory, row
from tests.revoking import give, guarded, running
from tests.running import RunningBroker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

GATEWAY: Final = Commands("gateway", gateway_app)
HELD_UP: Final = "brokers may still let that one in"


@pytest.fixture
def outra() -> Tenant:
    return seeding.tenant("outra")


@pytest.fixture(autouse=True)
def soon_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "HELD_S", 0.5)
    monkeypatch.setattr(held_back, "EVERY_S", 0.1)
    monkeypatch.setattr(handover, "COMMITS_WITHIN", timedelta(0))


def registered() -> Any:
    """Once the code is free: before that each try is refused with a sentence."""
    wait_until(lambda: not handover.obstacles({"GW-1": -1}, now=timezone.now()), "the end of the former gateway")
    return GATEWAY.done("add", "GW-1", "--tenant", "outra")


def test_a_code_goes_to_another_owner_only_when_the_former_ones_live_session_is_cut(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, outra: Tenant
) -> None:
    with guarded(broker, authorities):
        pass
    with session(unit, broker) as former:
        with running([Revoking(authorities, timezone.now).turn]):  # and no agent: nobody tells the broker
            give(gateway, GatewayStatus.RETIRED)
            wait_until(lambda: gateway.certificates.filter(listed_in__isnull=False).exists(), "the list")
            assert HELD_UP in GATEWAY.refused("add", "GW-1", "--tenant", "outra")
            assert former.up.is_set()  # it would have published into the new owner's data
        with guarded(broker, authorities):
            assert registered()["tenant"] == "outra"
            assert former.ended.is_set()
            assert not gets_in(unit, broker)
    assert AuditEntry.objects.get(action=AuditAction.REGISTERED).tenant == outra


def test_a_broker_that_does_not_run_holds_the_code_up_and_is_named(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, gateway: Gateway, outra: Tenant
) -> None:
    with guarded(broker, authorities):
        broker.stop()
        try:
            give(gateway, GatewayStatus.RETIRED)
            wait_until(lambda: BrokerAccess.objects.exclude(detail="").exists(), "the agent's word")
            said = GATEWAY.refused("add", "GW-1", "--tenant", "outra")
            assert HELD_UP in said
            assert "(broker: The broker does not run)" in said
            assert "two minutes" not in said  # by waiting alone it does not come back
            assert said.endswith("./tds gateway add GW-1 --tenant SLUG --although-not-cut\n")
        finally:
            broker.start()
        assert registered()["tenant"] == "outra"


def test_connections_of_before_the_cut_are_waited_out(
    *,
    broker: RunningBroker,
    authorities: AuthorityFolder,
    unit: Unit,
    gateway: Gateway,
    outra: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_back, "HELD_S", 60.0)
    with guarded(broker, authorities), session(unit, broker) as former:
        give(gateway, GatewayStatus.RETIRED)
        assert former.ended.wait(5.0)
        listed = Certificate.objects.get().listed_in or 0
        wait_until(lambda: BrokerAccess.objects.get().revision >= listed, "the agent to write down the cut")
        said = GATEWAY.refused("add", "GW-1", "--tenant", "outra")
        assert handover.SETTLING in said
        assert said.endswith("Try again in two minutes.\n")


def test_a_code_held_up_by_a_broker_that_is_lost_is_taken_by_a_word_of_its_own_that_is_written_down(
    unit: Unit, gateway: Gateway, outra: Tenant
) -> None:
    Certificate.objects.update(listed_in=7)
    BrokerAccess.objects.create(broker="broker-9", applied_at=timezone.now(), as_of=timezone.now() - timedelta(days=30))
    give(gateway, GatewayStatus.RETIRED)
    said = GATEWAY.refused("add", "GW-1", "--tenant", "outra")
    assert "(broker-9: its agent was through with its work for the last time 30 days ago; see" in said
    assert GATEWAY.done("add", "GW-1", "--tenant", "outra", handover.ALTHOUGH)["tenant"] == "outra"
    assert AuditEntry.objects.get(action=AuditAction.REGISTERED).detail == {"although_not_cut": "yes"}


def test_that_word_leaves_nothing_behind_when_nobody_was_in_the_way(outra: Tenant) -> None:
    GATEWAY.done("add", "GW-1", "--tenant", "outra", handover.ALTHOUGH)
    assert AuditEntry.objects.get(action=AuditAction.REGISTERED).detail == {}


def test_with_brokers_of_somebody_else_it_is_said_who_has_to_cut_the_former_gateway_off(
    unit: Unit, gateway: Gateway, outra: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when rows of private brokers are left from before."""
    BrokerAccess.objects.create(broker="broker", applied_at=timezone.now(), as_of=timezone.now() - timedelta(days=1))
    give(gateway, GatewayStatus.RETIRED)
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, mqtt_urls_given=True))
    said = GATEWAY.refused("add", "GW-1", "--tenant", "outra")
    assert handover.OWN_BROKERS in said
    assert "two minutes" not in said
    assert GATEWAY.done("add", "GW-1", "--tenant", "outra", handover.ALTHOUGH)["tenant"] == "outra"


def test_a_look_of_an_agent_from_within_the_retirement_does_not_free_the_code_of_a_password(
    gateway: Gateway, outra: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For it the password was still there. Nor does the clock of whoever retired it count, which is an hour slow."""
    monkeypatch.undo()  # as long as it is
    GatewayPassword.objects.create(gateway=gateway, hash="x")
    with transaction.atomic(), revoking_parts.connect() as connection:
        slow = timezone.now() - timedelta(hours=1)
        lifecycle.change(gateway, GatewayStatus.RETIRED, by=audit.COMMAND_LINE, now=slow)
        as_of = reached.clock_of(connection)
        assert connection.execute("SELECT count(*) FROM tds_new_gatewaypassword").fetchone() == (1,)
        reached.write(connection, "broker", reached.Reached(0, 0, as_of))
    assert handover.obstacles({"GW-1": outra.pk}, now=timezone.now())
    BrokerAccess.objects.update(as_of=as_of + handover.COMMITS_WITHIN)
    assert not handover.obstacles({"GW-1": outra.pk}, now=timezone.now())


@pytest.mark.parametrize("door", ["command", "admin", "provision"])
def test_no_door_registers_a_code_before_the_list_with_its_former_certificate_is_signed(
    *,
    door: str,
    unit: Unit,
    gateway: Gateway,
    outra: Tenant,
    admin_client: Client,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(gateway, GatewayStatus.RETIRED)
    match door:
        case "command":
            said = GATEWAY.refused("add", "GW-1", "--tenant", "outra")
        case "admin":
            form = {"code": "GW-1", "tenant": outra.pk, "auto_devices": "on"}
            address = "/admin/tds_new/gateway/add/"
            said = admin_client.post(address, form, headers={"Accept-Language": "en"}).content.decode()
        case _:
            factory = Factory(tmp_path_factory.mktemp("factory"), monkeypatch)
            said = factory.refused([row(1, gateway_code="GW-1", tenant="outra")])
    assert "brokers may still let that" in said
    assert Gateway.objects.count() == 1


def test_the_same_owner_has_the_code_again_at_once(unit: Unit, gateway: Gateway) -> None:
    """Readings of its own former gateway are its own."""
    give(gateway, GatewayStatus.RETIRED)
    assert GATEWAY.done("add", "GW-1", "--tenant", gateway.tenant.slug)["status"] == "active"
