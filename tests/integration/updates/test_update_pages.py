"""The pages of rollouts: who sees what, what people do to one, and that what gateways say is shown as text."""

import re
from datetime import time, timedelta
from html import unescape
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.formats import date_format

from tds.fleet.models import AuditEntry, Gateway, Role, Site, Tenant, User
from tds.updates.executions.statuses import REASON_SENTENCES
from tds.updates.models import Execution, Rollout, RolloutEvent
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.plan import Plan
from tests import rolling_out, seeding
from tests.refusing import level_and_notice, signed_in, text_of
from tests.rolling_out import EVERYBODY, QUICK, T0

pytestmark = pytest.mark.django_db

LIST: Final = "/tds_new/atualizacoes/"
HARM: Final = "<script>alert(1)</script>"


@pytest.fixture
def fleet(tenant: Tenant) -> list[Gateway]:
    return rolling_out.gateways(tenant, 5)


@pytest.fixture
def rollout(fleet: list[Gateway]) -> Rollout:
    """In its first wave, which has one gateway."""
    rolling_out.gateways(fleet[0].tenant, 2, "RELAY", family="relay-mfr")
    started = rolling_out.launched(rolling_out.release(), waves="1, 60 %, 100 %")
    Rollout.objects.update(current_wave=1)
    return started


@pytest.fixture
def operator(tenant: Tenant) -> Client:
    return client_of(tenant, Role.OPERATOR)


@pytest.fixture
def platform_operator() -> Client:
    return signed_in(User.objects.create_superuser("chefe", password="correct horse"))


def client_of(tenant: Tenant, role: Role) -> Client:
    return signed_in(seeding.person(f"a-{role}-{tenant.slug}", tenant, role=role))


def page_of(rollout: Rollout) -> str:
    return f"{LIST}{rollout.pk}/"


def words(page: str) -> str:
    """What a person reads."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def buttons(page: str) -> set[str]:
    return set(re.findall(r'name="acao" value="([\w-]+)"', page))


def shown(client: Client, rollout: Rollout, **chosen: Any) -> str:
    answer = client.get(page_of(rollout), chosen)
    assert answer.status_code == 200
    return text_of(answer)


def rows(client: Client, rollout: Rollout, **chosen: Any) -> list[str]:
    table = shown(client, rollout, **chosen).split("<tbody", 1)[1].split("</tbody>", 1)[0]
    return re.findall(r'scope="row".*?class="code"[^>]*>([^<]+)<', table, re.DOTALL)


def act(client: Client, rollout: Rollout, action: str, **fields: Any) -> tuple[str, str]:
    """The level and the sentence of what the person is told."""
    answer = client.post(f"{page_of(rollout)}acao/", {"acao": action, **fields}, follow=True)
    assert answer.status_code == 200, text_of(answer)
    return level_and_notice(text_of(answer))


def be(rollout: Rollout, *statuses: str, **fields: Any) -> list[Execution]:
    """The first executions, by wave and place, stand so."""
    found = list(rollout.executions.order_by("wave", "place")[: len(statuses)])
    for execution, status in zip(found, statuses, strict=True):
        for name, value in {"status": status, "changed_at": T0, **fields}.items():
            setattr(execution, name, value)
        execution.save()
    return found


# Who sees what


def test_a_viewer_sees_all_and_is_offered_no_deed(tenant: Tenant, rollout: Rollout) -> None:
    client = client_of(tenant, Role.VIEWER)
    be(rollout, "FAILED", "SUCCEEDED", "IN_PROGRESS")
    assert "dcu 1.1.0" in text_of(client.get(LIST))
    assert LIST + "nova/" not in text_of(client.get(LIST))
    page = shown(client, rollout)
    assert buttons(page) == set()
    assert "GW-000000" in page


@pytest.mark.parametrize(
    "action", ["pausar", "continuar", "cancelar", "substituir", "repetir-falhas", "repetir", "cancelar-um"]
)
def test_a_viewer_may_do_nothing(tenant: Tenant, rollout: Rollout, action: str) -> None:
    client, before = client_of(tenant, Role.VIEWER), list(Execution.objects.values())
    execution = rollout.executions.order_by("pk")[0]
    fields = {"acao": action, "certeza": "1", "execucao": execution.pk, "versao": rollout.release_id}
    assert client.post(f"{page_of(rollout)}acao/", fields).status_code == 403
    assert list(Execution.objects.values()) == before
    assert Rollout.objects.get().status == "running"


@pytest.mark.parametrize("action", ["pausar", "cancelar", "repetir", "nonsense"])
def test_another_companys_rollout_is_the_404_of_one_that_does_not_exist(rollout: Rollout, action: str) -> None:
    stranger = client_of(seeding.tenant("other"), Role.ADMIN)
    for number in (rollout.pk, 987_654_321, 2**63 + 1, 10**30):
        assert stranger.get(f"{LIST}{number}/").status_code == 404
        assert stranger.get(f"{LIST}{number}/?parte=viva").status_code == 404
        execution = rollout.executions.order_by("pk")[0]
        fields = {"acao": action, "certeza": "1", "execucao": execution.pk}
        assert stranger.post(f"{LIST}{number}/acao/", fields).status_code == 404
    assert "dcu 1.1.0" not in text_of(stranger.get(LIST))
    assert Rollout.objects.get().status == "running"


def test_a_gateway_of_another_rollout_is_no_gateway_of_this_one(
    tenant: Tenant, rollout: Rollout, operator: Client
) -> None:
    seeding.tenant("other")
    rolling_out.gateways(tenant, 1, "RELAY-2", family="relay-mfr")
    other = rolling_out.launched(rolling_out.release(product="relay", families=["relay-mfr"], sha256="c" * 64))
    execution = other.executions.order_by("pk")[0]
    for number in (execution.pk, "", "x", "-1", "²", "9" * 40):
        answer = operator.post(f"{page_of(rollout)}acao/", {"acao": "cancelar-um", "execucao": number})
        assert answer.status_code == 404, number
    execution.refresh_from_db()
    assert execution.status == "QUEUED"


def test_who_is_not_signed_in_is_led_to_the_sign_in(rollout: Rollout) -> None:
    for path in (LIST, f"{LIST}nova/", page_of(rollout), f"{page_of(rollout)}acao/"):
        answer = Client().post(path) if path.endswith("acao/") else Client().get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")


def test_the_platform_operator_sees_the_rollouts_of_all_companies_and_acts(
    rollout: Rollout, platform_operator: Client
) -> None:
    assert "Acme" in words(text_of(platform_operator.get(LIST)))
    page = shown(platform_operator, rollout)
    assert "GW-000000" in page
    assert 'href="/tds_new/gateways/GW-000000/"' not in page  # which is not in a company of theirs
    assert act(platform_operator, rollout, "pausar")[0] == "success"
    assert Rollout.objects.get().status == "paused"
    assert AuditEntry.objects.get(action="rollout.paused").tenant == rollout.tenant


def test_a_rollout_over_several_companies_is_the_platform_operators_alone(
    tenant: Tenant, fleet: list[Gateway], platform_operator: Client, operator: Client
) -> None:
    other = seeding.tenant("other")
    rolling_out.gateways(other, 1, "THEIRS")
    everybodys, _started = desk.launch(COMMAND_LINE, Plan(rolling_out.release(), EVERYBODY, "100 %", QUICK), now=T0)
    assert everybodys.tenant is None
    assert len(rows(platform_operator, everybodys)) == len(fleet) + 1
    assert "several companies" in text_of(platform_operator.get(LIST))
    assert operator.get(page_of(everybodys)).status_code == 404
    assert "dcu 1.1.0" not in text_of(operator.get(LIST))


# What is shown


def test_the_list_has_a_bar_a_rollout_and_says_who_started_it(tenant: Tenant, rollout: Rollout) -> None:
    be(rollout, "SUCCEEDED", "FAILED")
    said = words(text_of(client_of(tenant, Role.VIEWER).get(LIST)))
    assert "dcu 1.1.0 running" in said
    assert "1 succeeded 1 failed 3 waiting" in said
    assert "Started" in said


def test_a_list_without_rollouts_says_so(operator: Client) -> None:
    assert "No rollout yet." in text_of(operator.get(LIST))


def test_waves_are_told_with_their_bars(rollout: Rollout, operator: Client) -> None:
    be(rollout, "SUCCEEDED", "IN_PROGRESS")
    said = words(shown(operator, rollout))
    assert "Wave 1 (1) 1 gateway" in said
    assert "Wave 2 (60 %) 2 gateways" in said
    assert "1 under way 1 waiting" in said
    assert "not open yet" in said


def test_a_gateways_row_says_phase_progress_reason_and_what_runs(rollout: Rollout, operator: Client) -> None:
    [execution] = be(rollout, "IN_PROGRESS", phase="downloading", bytes_done=1_024, offered_at=T0)
    said = words(shown(operator, rollout))
    assert re.search(rf"{execution.gateway.code} 1 under way downloading 25 % 1\.0\.0 ", said)
    be(rollout, "FAILED", phase="", reason="rolled_back", detail="boot 3")
    said = words(shown(operator, rollout))
    assert f"{REASON_SENTENCES['rolled_back']} boot 3" in said  # type: ignore[index]  # a word is its key
    execution.gateway.running.delete()
    assert f"{execution.gateway.code} 1 failed – " in words(shown(operator, rollout))


def test_an_image_on_trial_is_said_to_be(rollout: Rollout, operator: Client) -> None:
    assert "on trial" not in shown(operator, rollout)
    [execution] = be(rollout, "IN_PROGRESS", phase="confirming")
    execution.gateway.running.confirmed = False
    execution.gateway.running.save()
    assert "on trial" in shown(operator, rollout)


def test_those_left_out_are_named_with_why(rollout: Rollout, operator: Client) -> None:
    said = words(shown(operator, rollout))
    assert "2 gateways left out 2 × The release is not for its family. RELAY-000000 , RELAY-000001" in said


def test_why_it_halted_is_on_top_and_in_the_list(rollout: Rollout, operator: Client) -> None:
    Rollout.objects.update(status="halted", halted_why="telemetry")
    for page in (shown(operator, rollout), text_of(operator.get(LIST))):
        assert "Gateways that run it deliver less than they did before." in page
    assert "Go on in spite of it" in shown(operator, rollout)


def test_which_gateways_deliver_less_and_how_is_on_the_timeline(rollout: Rollout, operator: Client) -> None:
    told = {"bad": 2, "watched": 5, "signs": {"GW-000000": "silent", "GW-000001": "of_a_later_version"}}
    RolloutEvent.objects.create(rollout=rollout, at=T0, kind="gate_failed", words=told)
    page = words(shown(operator, rollout))
    assert "2 of 5 watched gateways deliver less than before. GW-000000 It sends no readings any more. GW-0" in page
    assert "GW-000001 of_a_later_version" in page


def test_what_a_rollout_keeps_to_is_said(rollout: Rollout, operator: Client) -> None:
    Rollout.objects.update(failure_percent=2.5, soak_s=5_400, window_start=time(22), window_end=time(5, 30), gate=True)
    page = words(shown(operator, rollout))
    assert "watched for 90 min." in page
    assert "It halts at 2.5% failures" in page
    assert "deliver less than in the week before" in page
    assert "From 22:00 until 05:30, by the clock of each site." in page
    Rollout.objects.update(window_start=None, window_end=None, gate=False, one_per_site=False)
    page = words(shown(operator, rollout))
    assert "the telemetry gate is off" in page
    assert "by the clock" not in page
    assert "Never two" not in page


@pytest.mark.usefixtures("english")
def test_a_gateway_whose_window_is_closed_says_when_it_opens_by_the_clock_of_its_site(
    rollout: Rollout, operator: Client
) -> None:
    now = timezone.now().astimezone(ZoneInfo("America/Manaus"))
    opens = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
    Rollout.objects.update(window_start=opens.time(), window_end=(opens + timedelta(hours=1)).time())
    Execution.objects.update(time_zone="America/Manaus")
    waits = f"waits for its window, {date_format(opens, 'SHORT_DATE_FORMAT')} {opens:%H:%M}"
    page = words(shown(operator, rollout))
    assert page.count(waits) == 1  # the first wave's one: the others wait for their waves
    be(rollout, "QUEUED", offered_at=T0)
    assert waits not in words(shown(operator, rollout))
    be(rollout, "QUEUED", offered_at=None)
    Rollout.objects.update(status="paused")
    assert waits not in words(shown(operator, rollout))


def test_a_reason_or_an_event_of_a_later_version_is_shown_as_it_is(rollout: Rollout, operator: Client) -> None:
    be(rollout, "FAILED", reason="of_another_version", phase="of_another_too")
    RolloutEvent.objects.create(rollout=rollout, at=T0, kind="something_new", words={})
    RolloutEvent.objects.create(rollout=rollout, at=T0, kind="started", words={"none": "of it"})
    page = shown(operator, rollout)
    assert "of_another_version" in page
    assert "something_new" in page


def test_attack_script_in_names_notes_and_details_is_text(tenant: Tenant, operator: Client) -> None:
    site = Site.objects.create(tenant=tenant, name=HARM)
    rolling_out.gateways(tenant, 1, site=site)
    release = rolling_out.release(notes=HARM, image={"project": HARM})
    rollout, _started = desk.launch(COMMAND_LINE, Plan(release, EVERYBODY, "100 %", QUICK, HARM), now=T0)
    [execution] = be(rollout, "FAILED", reason=HARM[:20], detail=HARM)
    RolloutEvent.objects.create(rollout=rollout, at=T0, kind=HARM, actor=HARM, execution=execution, words={"why": HARM})
    execution.gateway.running.version = HARM
    execution.gateway.running.save()
    paths = [LIST, page_of(rollout), f"{LIST}nova/", "/tds_new/versoes/", f"/tds_new/versoes/{release.pk}/"]
    paths.append(f"/tds_new/gateways/{execution.gateway.code}/")
    for path in paths:
        page = text_of(operator.get(path))
        assert "<script>alert" not in page, path
    assert unescape(shown(operator, rollout)).count(HARM) >= 6


def test_the_living_part_is_a_part_and_polls_sooner_while_it_runs(rollout: Rollout, operator: Client) -> None:
    part = shown(operator, rollout, parte="viva")
    assert "<html" not in part
    assert 'id="live"' in part
    assert '"refresh_s": 2,' in shown(operator, rollout)
    Rollout.objects.update(status="completed")
    assert '"refresh_s": 30,' in shown(operator, rollout)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"estado": "concluido"}, [0]),
        ({"estado": "falhou"}, [1, 4]),
        ({"estado": "andamento"}, [2]),
        ({"estado": "recusado"}, [3]),
        ({"estado": "esperando"}, []),
        ({"onda": "1"}, [0]),
        ({"onda": "2", "estado": "falhou"}, [1]),
        ({"onda": "9"}, []),
        ({"pagina": "7"}, [0, 1, 2, 3, 4]),
    ],
)
def test_rows_are_chosen_by_state_and_wave(
    rollout: Rollout, operator: Client, chosen: dict[str, str], expected: list[int]
) -> None:
    found = be(rollout, "SUCCEEDED", "FAILED", "IN_PROGRESS", "REJECTED", "TIMED_OUT")
    assert rows(operator, rollout, **chosen) == [found[n].gateway.code for n in expected]


def test_rows_are_found_by_a_part_of_a_code(rollout: Rollout, operator: Client) -> None:
    assert rows(operator, rollout, busca="-000003") == ["GW-000003"]
    assert rows(operator, rollout, busca=" gw-000003 ") == ["GW-000003"]
    assert rows(operator, rollout, busca="%") == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"estado": "nonsense"},
        {"onda": "x"},
        {"onda": "-1"},
        {"onda": "²"},
        {"onda": "0"},
        {"pagina": "9" * 30},
        {"busca": "a\x00b"},
        {"busca": "x" * 65},
    ],
)
def test_what_can_not_be_understood_is_a_sentence_and_never_means_all(
    rollout: Rollout, operator: Client, chosen: dict[str, str]
) -> None:
    answer = operator.get(page_of(rollout), chosen)
    assert answer.status_code == 400
    assert "GW-000000" not in text_of(answer)


def test_a_page_costs_as_many_statements_with_more_gateways(tenant: Tenant, operator: Client, rollout: Rollout) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert rows(operator, rollout)
        return len(captured)

    few = statements()
    for execution in rollout.executions.all():
        RolloutEvent.objects.create(rollout=rollout, at=T0, kind="update_failed", execution=execution, words={})
    assert statements() == few
    assert few <= 16


# What people do


def test_pause_and_go_on(rollout: Rollout, operator: Client) -> None:
    assert buttons(shown(operator, rollout)) >= {"pausar", "cancelar"}
    assert act(operator, rollout, "pausar")[0] == "success"
    assert Rollout.objects.get().status == "paused"
    assert "pausar" not in buttons(shown(operator, rollout))
    level, notice = act(operator, rollout, "pausar")
    assert (level, "this one is paused" in notice) == ("error", True)
    assert act(operator, rollout, "continuar") == ("success", "It goes on.")
    assert Rollout.objects.get().status == "running"
    entry = AuditEntry.objects.get(action="rollout.paused")
    assert (entry.actor, entry.tenant) == ("a-operator-acme", rollout.tenant)
    assert "a-operator-acme" in words(shown(operator, rollout))


def test_cancel_only_with_the_box_ticked(rollout: Rollout, operator: Client) -> None:
    level, notice = act(operator, rollout, "cancelar")
    assert (level, "tick the box" in notice) == ("error", True)
    assert Rollout.objects.get().status == "running"
    assert act(operator, rollout, "cancelar", certeza="1") == ("success", "Canceled; 5 gateways had not finished.")
    assert set(Execution.objects.values_list("status", flat=True)) == {"CANCELED"}
    level, notice = act(operator, rollout, "cancelar", certeza="1")
    assert (level, notice) == ("error", "This rollout is over: it is canceled.")
    assert buttons(shown(operator, rollout)) == set()


def test_those_that_failed_try_again_all_or_one(rollout: Rollout, operator: Client) -> None:
    assert act(operator, rollout, "repetir-falhas") == ("success", "0 gateways try again.")
    failed = be(rollout, "FAILED", "TIMED_OUT")
    assert {"repetir-falhas", "repetir"} <= buttons(shown(operator, rollout))
    told = act(operator, rollout, "repetir", execucao=failed[0].pk)
    assert told == ("success", f"{failed[0].gateway.code} tries again.")
    assert act(operator, rollout, "repetir-falhas") == ("success", "1 gateway tries again.")
    assert not Execution.objects.exclude(status="QUEUED").exists()
    level, notice = act(operator, rollout, "repetir", execucao=failed[0].pk)
    assert (level, "can't try again" in notice) == ("error", True)


def test_a_line_of_the_timeline_names_its_gateway_once(rollout: Rollout, operator: Client) -> None:
    [failed] = be(rollout, "FAILED")
    act(operator, rollout, "repetir", execucao=failed.pk)
    page = shown(operator, rollout)
    timeline = words(page.partition('id="timeline-title"')[2].partition("</section>")[0])
    assert f"{failed.gateway.code} tries again." in timeline
    assert timeline.count(failed.gateway.code) == 1


def test_who_was_taken_out_can_be_let_try_again_once_the_release_is_forgiven(
    rollout: Rollout, operator: Client
) -> None:
    be(rollout, "REMOVED", reason="known_bad")
    bad = rolling_out.known_bad(rollout.release, Tenant.objects.get(), "")
    assert "repetir-falhas" not in buttons(shown(operator, rollout))
    [removed] = Execution.objects.filter(status="REMOVED")
    level, notice = act(operator, rollout, "repetir", execucao=removed.pk)
    assert (level, "operator has to forgive it there first" in notice) == ("error", True)
    bad.forgiven_at = bad.last_at
    bad.save()
    assert {"repetir-falhas", "repetir"} <= buttons(shown(operator, rollout))
    assert act(operator, rollout, "repetir-falhas") == ("success", "1 gateway tries again.")


def test_who_was_taken_out_can_be_let_try_again_though_it_rolled_back_at_another_company_since(
    rollout: Rollout, operator: Client
) -> None:
    be(rollout, "REMOVED", reason="known_bad")
    bad = rolling_out.known_bad(rollout.release, Tenant.objects.get(), "")
    bad.forgiven_at, bad.last_at = T0, T0 + timedelta(hours=1)
    bad.save()
    assert {"repetir-falhas", "repetir"} <= buttons(shown(operator, rollout))
    assert act(operator, rollout, "repetir-falhas") == ("success", "1 gateway tries again.")


def test_the_update_of_one_gateway_is_canceled(rollout: Rollout, operator: Client) -> None:
    execution = rollout.executions.order_by("wave", "place")[0]
    told = act(operator, rollout, "cancelar-um", execucao=execution.pk)
    assert told == ("success", f"The update of {execution.gateway.code} is canceled.")
    level, notice = act(operator, rollout, "cancelar-um", execucao=execution.pk)
    assert (level, "is over" in notice) == ("error", True)


def test_a_newer_release_takes_its_place(rollout: Rollout, operator: Client) -> None:
    assert "substituir" not in buttons(shown(operator, rollout))
    newer = rolling_out.release(version="1.2.0", counter=3, sha256="d" * 64)
    older = rolling_out.release(version="0.9.0", counter=1, sha256="e" * 64)
    draft = rolling_out.release(version="1.3.0", counter=4, sha256="f" * 64, status="uploaded")
    page = shown(operator, rollout)
    assert f'<option value="{newer.pk}">' in page
    assert f'<option value="{older.pk}">' not in page
    for wrong in ("", "x", "²", "9" * 40, draft.pk):
        level, notice = act(operator, rollout, "substituir", versao=wrong, certeza="1")
        assert (level, notice) == ("error", "Choose one of the published releases."), wrong
    level, notice = act(operator, rollout, "substituir", versao=older.pk, certeza="1")
    assert (level, "is not newer" in notice) == ("error", True)
    level, notice = act(operator, rollout, "substituir", versao=newer.pk)
    assert (level, "tick the box" in notice) == ("error", True)
    answer = operator.post(
        f"{page_of(rollout)}acao/", {"acao": "substituir", "versao": newer.pk, "certeza": "1"}, follow=True
    )
    new = Rollout.objects.get(release=newer)
    assert answer.redirect_chain == [(page_of(new), 302)]
    assert "Takes the place of dcu 1.1.0." in words(text_of(answer))
    rollout.refresh_from_db()
    assert (rollout.status, new.status) == ("canceled", "running")


@pytest.mark.parametrize("action", ["", "nonsense", "PAUSAR", "pausar\x00"])
def test_an_unknown_deed_is_a_sentence(rollout: Rollout, operator: Client, action: str) -> None:
    answer = operator.post(f"{page_of(rollout)}acao/", {"acao": action})
    assert answer.status_code == 400
    assert "The form does not say what to do" in text_of(answer)


def test_a_deed_is_a_post_with_the_pages_token(rollout: Rollout, tenant: Tenant) -> None:
    client = signed_in(seeding.person("bia", tenant, role=Role.ADMIN), enforce_csrf_checks=True)
    assert client.get(f"{page_of(rollout)}acao/").status_code == 405
    assert client.post(f"{page_of(rollout)}acao/", {"acao": "pausar"}).status_code == 403
    assert Rollout.objects.get().status == "running"
