"""`tds rollout …` about single gateways: who is in and who is not by name, and the update of one that is given up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation
from typer.testing import CliRunner, Result

from tds.fleet.models import AuditEntry
from tds.updates.models import Execution, Rollout
from tds.updates.rollouts.rollout_commands import rollout_app
from tests import rolling_out, seeding

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


def run(*words: str) -> Result:
    return CliRunner().invoke(rollout_app, [*words])


def said(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_preview_names_who_is_in_and_who_is_left_out() -> None:
    tenant = seeding.tenant("acme")
    rolling_out.gateways(tenant, 2)
    rolling_out.gateways(tenant, 25, "RELAY", family="relay-mfr")
    rolling_out.release()
    text = run("start", "1.1.0", "--all", "--preview").output
    assert "\n  in: GW-000000, GW-000001\n" in text
    assert "  25 left out: The release is not for its family.\n    RELAY-000000, RELAY-000001, " in text
    assert "RELAY-000019, …" in text
    assert "RELAY-000020" not in text
    document = said("start", "1.1.0", "--all", "--preview")
    assert document["first"] == ["GW-000000", "GW-000001"]
    assert document["left_out"] == {"wrong_family": 25}
    assert document["first_left_out"] == {"wrong_family": [f"RELAY-{n:06}" for n in range(20)]}


def test_a_rollout_that_runs_says_how_many_are_left_out_and_why() -> None:
    tenant = seeding.tenant("acme")
    rolling_out.gateways(tenant, 2)
    rolling_out.gateways(tenant, 3, "RELAY", family="relay-mfr")
    number = str(rolling_out.launched(rolling_out.release()).pk)
    assert "  3 left out: The release is not for its family.\n" in run("show", number).output
    assert said("show", number)["left_out"] == {"wrong_family": 3}


def test_the_update_of_one_gateway_is_canceled() -> None:
    rolling_out.gateways(seeding.tenant("acme"), 3)
    rollout = rolling_out.launched(rolling_out.release())
    number, code = str(rollout.pk), "GW-000001"
    assert said("cancel", number, "--gateway", code)["status"] == "running"
    assert [each.gateway.code for each in Execution.objects.filter(status="CANCELED")] == [code]
    assert AuditEntry.objects.filter(action="update.canceled").count() == 1
    again = run("cancel", number, "--gateway", code)
    assert (again.exit_code, f"The update of {code} is over." in again.output) == (1, True)
    other = run("cancel", number, "--gateway", "NOBODY")
    assert (other.exit_code, f"NOBODY is not in rollout #{number}." in other.output) == (1, True)
    assert Rollout.objects.get().status == "running"
