"""`./tds password`: made, shown once, replaced and taken away, and who did it is written down."""

from typing import Final

import pytest

from tds.fleet import audit
from tds.fleet.models import AuditAction, Gateway, GatewayStatus
from tds.identity.access import broker_rules
from tds.identity.access.password_commands import password_app
from tds.identity.models import GatewayPassword
from tests import seeding
from tests.commanding import Commands

pytestmark = pytest.mark.django_db

OURS: Final = Commands("password", password_app)
tds, done, refused = OURS.tds, OURS.done, OURS.refused


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


def test_a_password_goes_to_standard_output_alone_and_only_its_hash_is_kept(gateway: Gateway) -> None:
    result = tds("add", "GW-1")
    password = result.stdout.strip()
    assert result.exit_code == 0
    assert "not shown again" in result.stderr
    kept = GatewayPassword.objects.get(gateway=gateway).hash
    assert len(password) >= 24
    assert password not in kept
    assert broker_rules.matches(password, kept)
    assert not broker_rules.matches(password + "x", kept)


def test_a_new_password_replaces_the_one_before_it(gateway: Gateway) -> None:
    first, second = done("add", "GW-1")["password"], done("add", "GW-1")["password"]
    kept = GatewayPassword.objects.get(gateway=gateway).hash
    assert not broker_rules.matches(first, kept)
    assert broker_rules.matches(second, kept)
    assert [row["gateway"] for row in done("list")] == ["GW-1"]


def test_who_made_it_and_who_took_it_away_is_written_down_without_the_password(gateway: Gateway) -> None:
    password = done("add", "GW-1")["password"]
    assert done("remove", "GW-1") == {"gateway": "GW-1", "removed": True}
    entries = list(audit.of_gateway(gateway))
    assert [entry.action for entry in entries] == [AuditAction.PASSWORD_REMOVED, AuditAction.PASSWORD_MADE]
    assert password not in str([entry.detail for entry in entries])
    assert done("list") == []
    assert "No gateway has a password" in tds("list").stdout


def test_a_password_for_a_gateway_that_no_broker_lets_in_is_a_sentence(gateway: Gateway) -> None:
    gateway.status = GatewayStatus.DISABLED
    gateway.save()
    assert refused("add", "GW-1") == "Gateway GW-1 is disabled, and no broker lets it in.\n"
    assert "GW-2" in refused("add", "GW-2")
    assert refused("remove", "GW-1") == ("Gateway GW-1 has no password; ./tds password list shows who has one.\n")
