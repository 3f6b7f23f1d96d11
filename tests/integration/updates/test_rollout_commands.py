"""`tds rollout …` as a person and a script use it."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tds.fleet.models import AuditEntry
from tds.updates.models import Execution, Rollout
from tds.updates.rollouts.rollout_commands import rollout_app
from tests import rolling_out, seeding
from tests.rolling_out import release

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]


def run(*words: str) -> Result:
    return CliRunner().invoke(rollout_app, [*words])


def said(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_rollout_from_a_preview_to_its_end() -> None:
    rolling_out.gateways(seeding.tenant("acme"), 10)
    rolling_out.gateways(seeding.tenant("rival"), 2, "R", family="relay-mfr")
    release()
    looked = said("start", "1.1.0", "--all", "--preview")
    assert (looked["gateways"], looked["left_out"]) == (10, {"wrong_family": 2})
    assert "2 left out: The release is not for its family." in run("start", "1.1.0", "--all", "--dry-run").output
    assert not Rollout.objects.exists()

    started = said("start", "1.1.0", "--tenant", "acme", "--waves", "1, 100 %", "--window", "22:00-04:00", "--no-gate")
    number = str(started["rollout"])
    assert (started["gateways"], started["tenant"], started["status"]) == (10, "acme", "running")
    rollout = Rollout.objects.get()
    assert (str(rollout.window_start), rollout.gate, rollout.soak_s) == ("22:00:00", False, 3_600)

    assert said("pause", number)["status"] == "paused"
    assert said("resume", number)["status"] == "running"
    Execution.objects.filter(wave=1).update(status="FAILED", reason="rolled_back")
    assert said("retry", number)["retried"] == 1
    shown = said("show", number)
    assert [(wave["size"], wave["waiting"]) for wave in shown["waves"]] == [(1, 1), (9, 9)]
    assert "wave 2 (100 %): 0/9  9 waiting" in run("show", number).output
    assert f"#{number}" in run("list").output
    assert said("list", "--tenant", "rival") == {"rollouts": []}

    release(version="1.2.0", counter=3, sha256="c" * 64)
    new = said("replace", number, "1.2.0")
    assert (new["replaces"], new["gateways"]) == (rollout.pk, 10)
    assert said("cancel", str(new["rollout"]))["status"] == "canceled"
    assert run("watch", str(new["rollout"])).exit_code == 1
    assert said("show")["rollout"] == new["rollout"]  # the newest
    assert run("watch").exit_code == 1
    Rollout.objects.filter(pk=rollout.pk).update(status="completed")
    assert run("watch", number).exit_code == 0
    assert json.loads(run("watch", number, "--json").output.splitlines()[-1])["status"] == "completed"


def test_without_any_rollout_the_newest_one_is_a_sentence() -> None:
    for command in ("show", "watch"):
        result = run(command)
        assert result.exit_code == 1
        assert "There is no rollout yet" in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["start", "9.9.9", "--all"], "There is no release '9.9.9'"),
        (["start", "1.1.0"], "Say which gateways"),
        (["start", "1.1.0", "--all", "--waves", "1"], "The last wave is"),
        (["start", "1.1.0", "--all", "--window", "night"], "is no window"),
        (["start", "1.1.0", "--all", "--success", "0"], "share that must succeed"),
        (["start", "1.1.0", "--all", "--concurrency", "0"], "gateways at once"),
        (["start", "1.1.0", "--tenant", "nobody"], "There is no tenant 'nobody'"),
        (["start", "1.1.0", "--all"], "No gateway is as you say"),
        (["show", "4711"], "There is no rollout #4711"),
        (["retry", "4711"], "There is no rollout #4711"),
        (["pause", "4711"], "There is no rollout #4711"),
    ],
)
def test_what_can_not_be_done_is_a_sentence_and_an_exit_code(words: list[str], says: str) -> None:
    release()
    result = run(*words)
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert "Traceback" not in result.output


# Single gateways, by name


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


def test_one_gateway_is_told_of_as_one() -> None:
    rolling_out.gateways(seeding.tenant("acme"), 1)
    rolling_out.release()
    first = run("start", "1.1.0", "--all", "--waves", "100 %", "--preview").output
    assert first.startswith("1 gateway would get dcu 1.1.0.\n")
    started = run("start", "1.1.0", "--all", "--waves", "100 %").output
    assert "dcu 1.1.0 runs: 1 gateway in waves (100 %: 1), 0 left out." in started
    release(version="1.2.0", counter=3, sha256="c" * 64)
    number = str(Rollout.objects.get().pk)
    assert run("replace", number, "1.2.0").output.endswith(f" takes the place of #{number}: 1 gateway.\n")
    newest = Rollout.objects.order_by("-pk").values_list("pk", flat=True)[0]
    Execution.objects.filter(rollout=newest).update(status="FAILED")
    assert run("retry", str(newest)).output.startswith("1 gateway tries again.")


def test_a_single_gateway_that_can_not_take_it_is_told_of_as_one() -> None:
    rolling_out.gateways(seeding.tenant("acme"), 1, family="relay-mfr")
    rolling_out.release()
    result = run("start", "1.1.0", "--all")
    assert "The 1 gateway that was chosen can't take this release: look at the preview for why." in result.output


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
