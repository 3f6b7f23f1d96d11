"""`tds rollout …` as a person and a script use it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation
from typer.testing import CliRunner, Result

from tds.updates.models import Execution, Rollout
from tds.updates.rollouts.rollout_commands import rollout_app
from tests import rolling_out, seeding
from tests.rolling_out import release

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
        (["start", "1.1.0", "--all"], "None of the 0 gateways"),
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
