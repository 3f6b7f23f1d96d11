"""`./tds claim`: codes made, listed and ended, and a sentence for each way to get it wrong."""

import json
from typing import Final

import pytest
from django.utils import timezone

from tds.fleet import audit, lifecycle
from tds.fleet.models import AuditAction, Gateway, GatewayStatus
from tds.identity.enrolment import claims
from tds.identity.enrolment.claim_commands import DEFAULT_DAYS, MAX_DAYS, claim_app
from tds.identity.models import ClaimCode
from tests import seeding
from tests.commanding import Commands

pytestmark = pytest.mark.django_db

OURS: Final = Commands("claim", claim_app)
tds, done, refused = OURS.tds, OURS.done, OURS.refused


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


def states() -> list[str]:
    return [row["state"] for row in done("list")]


def test_the_bounds_are_those_of_claim_codes() -> None:
    assert (DEFAULT_DAYS, MAX_DAYS) == (claims.DEFAULT_DAYS, claims.MAX_DAYS)


def test_a_code_goes_to_standard_output_alone_and_is_good_for_seven_days(gateway: Gateway) -> None:
    result = tds("add", "GW-1")
    assert result.exit_code == 0
    claim = claims.find(result.stdout.strip())
    assert claim is not None
    assert claim.gateway == gateway
    assert (claim.expires_at - claim.created_at).days in {6, 7}
    assert "Good once, until" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_a_script_gets_a_document(gateway: Gateway) -> None:
    document = done("add", "GW-1", "--days", "1")
    assert document["gateway"] == "GW-1"
    claim = claims.find(document["claim_code"])
    assert claim is not None
    assert document["expires_at"] == claim.expires_at.isoformat()


def test_a_qr_code_is_drawn_below_it(gateway: Gateway) -> None:
    first, *drawn = tds("add", "GW-1", "--qr").stdout.splitlines()
    assert claims.normalised(first)
    assert len(drawn) > 10


def test_a_new_code_replaces_the_open_one_and_the_list_shows_no_secret(gateway: Gateway) -> None:
    before, after = done("add", "GW-1")["claim_code"], done("add", "GW-1")["claim_code"]
    rows = done("list")
    assert [(row["begins_with"], row["state"]) for row in rows] == [(after[:4], "open"), (before[:4], "revoked")]
    shown = tds("list").stdout
    assert after[:4] in shown
    assert not any(group in shown for group in after.split("-")[1:])


def test_an_open_code_is_revoked_once(gateway: Gateway) -> None:
    assert "no open claim code" in refused("revoke", "GW-1")
    done("add", "GW-1")
    assert done("revoke", "GW-1") == {"gateway": "GW-1", "revoked": 1}
    assert states() == ["revoked"]
    assert "no open claim code" in refused("revoke", "GW-1")


def test_it_is_written_down_who_made_and_revoked_a_code_and_not_the_code(gateway: Gateway) -> None:
    secret = done("add", "GW-1")["claim_code"]
    done("revoke", "GW-1")
    entries = list(audit.of_gateway(gateway))
    assert [(entry.action, entry.actor) for entry in entries] == [
        (AuditAction.CLAIM_REVOKED, audit.COMMAND_LINE),
        (AuditAction.CLAIM_MADE, audit.COMMAND_LINE),
    ]
    assert not any(secret[5:] in json.dumps(entry.detail) for entry in entries)


def test_an_expired_and_a_used_code_are_listed_as_such(gateway: Gateway) -> None:
    done("add", "GW-1")
    ClaimCode.objects.update(expires_at=timezone.now())
    assert states() == ["expired"]
    ClaimCode.objects.update(used_at=timezone.now())
    assert states() == ["used"]


def test_codes_that_ended_long_ago_go_when_a_new_one_is_made(gateway: Gateway) -> None:
    done("add", "GW-1")
    ClaimCode.objects.update(expires_at=timezone.now() - claims.KEPT * 2)
    done("add", "GW-1")
    assert states() == ["open"]


def test_an_unknown_a_disabled_and_a_retired_gateway_get_none(gateway: Gateway) -> None:
    assert "There is no gateway 'GW-9'" in refused("add", "GW-9")
    lifecycle.change(gateway, GatewayStatus.DISABLED, by="tests", now=timezone.now())
    assert "./tds gateway enable GW-1" in refused("add", "GW-1")
    lifecycle.change(gateway, GatewayStatus.RETIRED, by="tests", now=timezone.now())
    assert "There is no gateway 'GW-1'" in refused("add", "GW-1")
    with pytest.raises(claims.ClaimRefusedError, match="is retired"):
        claims.make(gateway, now=timezone.now(), by="tests")
    assert not ClaimCode.objects.exists()


def test_a_code_of_the_platforms_own_gets_none(gateway: Gateway) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(code="tds-consumer")  # as one may be from before such were refused
    assert "kept for the platform itself" in refused("add", "tds-consumer")


@pytest.mark.parametrize("days", ["0", "91", "-1", "x"])
def test_days_out_of_bounds_are_refused(days: str) -> None:
    assert tds("add", "GW-1", "--days", days).exit_code == 2


def test_without_codes_the_list_says_how_to_make_one() -> None:
    assert tds("list").stdout == "No claim code yet: ./tds claim add CODE\n"
