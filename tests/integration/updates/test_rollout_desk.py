"""The door for rollouts: what people may do, to whose gateways, and what is written down of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection as django_connection
from django.utils import translation

from tds.fleet import audit, tags
from tds.fleet.access import Scope
from tds.fleet.models import AuditEntry, Gateway, Membership, Role, Site, Tenant, User
from tds.updates.models import Execution, LeftOut, Rollout, RolloutEvent, Wave
from tds.updates.rollouts import desk, gateway_desk, plan, target
from tds.updates.rollouts.asker import COMMAND_LINE, Asker
from tds.updates.rollouts.eligibility import Reason
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.target import Target
from tests import rolling_out, seeding
from tests.rolling_out import EVERYBODY, QUICK, T0, launched, release, statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def rival() -> Tenant:
    return seeding.tenant("rival")


def member(tenant: Tenant, role: Role = Role.OPERATOR) -> Asker:
    user = seeding.person(f"{role}-{tenant.slug}", tenant, role=role)
    membership = Membership.objects.select_related("tenant").get(user=user)
    return Asker(user, Scope((membership,), membership))


def platform_operator() -> Asker:
    return Asker(User.objects.create_superuser("root", password="correct horse"))


# Who may


def test_an_operator_rolls_out_to_the_gateways_of_the_own_tenant_and_to_no_others(acme: Tenant, rival: Tenant) -> None:
    ours, theirs = rolling_out.gateways(acme, 3, "OURS"), rolling_out.gateways(rival, 3, "THEIRS")
    asker = member(acme)
    codes = Target(codes=tuple(gateway.code for gateway in [*ours, *theirs]))
    of = release()
    found = plan.preview(asker, Plan(of, codes, "100 %", QUICK), now=T0)
    assert (found.gateways, found.unknown_codes) == (3, tuple(gateway.code for gateway in theirs))
    for aim in (EVERYBODY, codes, Target(families=("dcu-0080",))):
        rollout, started = desk.launch(asker, Plan(of, aim, "100 %", QUICK), now=T0)
        assert (started.gateways, rollout.tenant) == (3, acme)
        assert {each.gateway.tenant_id for each in Execution.objects.select_related("gateway")} == {acme.pk}
        desk.cancel(asker, rollout.pk, now=T0)


@pytest.mark.parametrize("aim", [Target(tenant="rival"), Target(sites=(1,))])
def test_another_tenants_gateways_can_not_be_named(acme: Tenant, rival: Tenant, aim: Target) -> None:
    rolling_out.gateways(acme, 1, "OURS")
    site = Site.objects.create(tenant=rival, name="plant")
    rolling_out.gateways(rival, 1, "THEIRS", site=site)
    aim = replace(aim, sites=(site.pk,)) if aim.sites else aim
    with pytest.raises(RolloutRefusedError, match="No gateway is as you say"):
        desk.launch(member(acme), Plan(release(), aim, "100 %", QUICK), now=T0)


def deeds(rollout: Rollout) -> list[Callable[[Asker], object]]:
    newer, execution = release(counter=9, sha256="c" * 64), Execution.objects.filter(rollout=rollout).first()
    assert execution is not None
    return [
        lambda asker: desk.pause(asker, rollout.pk, now=T0),
        lambda asker: desk.resume(asker, rollout.pk, now=T0),
        lambda asker: desk.cancel(asker, rollout.pk, now=T0),
        lambda asker: desk.replace(asker, rollout.pk, newer, now=T0),
        lambda asker: desk.start(asker, rollout.pk, now=T0),
        lambda asker: gateway_desk.retry_failed(asker, rollout.pk, now=T0),
        lambda asker: gateway_desk.retry(asker, execution.pk, now=T0),
        lambda asker: gateway_desk.cancel(asker, execution.pk, now=T0),
    ]


def test_another_tenants_rollout_and_executions_do_not_exist(acme: Tenant, rival: Tenant) -> None:
    rolling_out.gateways(acme, 2)
    rollout, _started = desk.launch(member(acme), Plan(release(), EVERYBODY, "100 %", QUICK), now=T0)
    stranger = member(rival, Role.ADMIN)
    for deed in deeds(rollout):
        with pytest.raises((Rollout.DoesNotExist, Execution.DoesNotExist)):
            deed(stranger)
    assert not stranger.rollouts().exists()
    assert not stranger.executions().exists()
    assert statuses(rollout) == {1: {"QUEUED": 2}}


def test_a_viewer_does_nothing_but_look(acme: Tenant) -> None:
    rolling_out.gateways(acme, 2)
    rollout = launched(release(), waves="100 %")
    viewer = member(acme, Role.VIEWER)
    for deed in deeds(rollout):
        with pytest.raises(PermissionDenied):
            deed(viewer)
    with pytest.raises(PermissionDenied):
        desk.launch(viewer, Plan(rollout.release, EVERYBODY), now=T0)
    with pytest.raises(PermissionDenied):
        plan.preview(viewer, Plan(rollout.release, EVERYBODY), now=T0)
    assert viewer.rollouts().get() == rollout  # it is over one tenant: this one


def test_only_the_platform_operator_rolls_out_over_several_tenants(acme: Tenant, rival: Tenant) -> None:
    rolling_out.gateways(acme, 2, "A")
    rolling_out.gateways(rival, 2, "B")
    person = seeding.person("ana", acme, rival, role=Role.ADMIN)
    asked = Plan(release(), EVERYBODY, "100 %", QUICK)
    with pytest.raises(PermissionDenied):
        desk.launch(Asker(person), asked, now=T0)
    rollout, started = desk.launch(platform_operator(), asked, now=T0)
    assert (started.gateways, rollout.tenant) == (4, None)
    inside = member(acme)
    assert not inside.rollouts().exists()  # it tells of others
    assert {each.gateway.tenant for each in inside.executions()} == {acme}
    theirs = Execution.objects.filter(gateway__tenant=rival).first()
    ours = inside.executions().first()
    assert ours is not None
    assert theirs is not None
    with pytest.raises(Execution.DoesNotExist):
        gateway_desk.cancel(inside, theirs.pk, now=T0)
    assert gateway_desk.cancel(inside, ours.pk, now=T0).status == "CANCELED"
    entry = AuditEntry.objects.get(action="update.canceled")
    assert (entry.tenant, entry.detail) == (acme, {"gateway": ours.gateway.code})


def test_somebody_who_belongs_to_no_tenant_sees_nothing() -> None:
    nobody = Asker(User.objects.create_user("nobody"), Scope((), None))
    assert not nobody.gateways().exists()
    with pytest.raises(PermissionDenied):
        nobody.require_operator()


# The start


def test_a_start_writes_down_who_is_in_and_who_is_not_and_why(acme: Tenant) -> None:
    rolling_out.gateways(acme, 10)
    Gateway.objects.filter(code="GW-000000").update(status="disabled")
    Gateway.objects.filter(code="GW-000001").update(hardware="Z")
    rolling_out.running(Gateway.objects.get(code="GW-000001"), hardware="Z").save()
    Gateway.objects.get(code="GW-000002").running.delete()
    rolling_out.running(Gateway.objects.get(code="GW-000003"), sha256=rolling_out.NEW, counter=2).save()
    asker = member(acme)
    of = release(hardware=["", "A"])
    rolling_out.known_bad(of, acme, "A")
    rolling_out.running(Gateway.objects.get(code="GW-000004"), hardware="A").save()
    rollout, started = desk.launch(asker, Plan(of, EVERYBODY, "1, 100 %", QUICK, "Spring"), now=T0)
    left_out = dict(LeftOut.objects.filter(rollout=rollout).values_list("gateway__code", "reason"))
    assert left_out == {
        "GW-000000": "disabled",
        "GW-000001": "wrong_hardware",
        "GW-000002": "no_trust",
        "GW-000003": "already_on_it",
        "GW-000004": "known_bad",
    }
    assert (started.gateways, started.left_out, statuses(rollout)) == (5, 5, {1: {"QUEUED": 1}, 2: {"QUEUED": 4}})
    sizes = list(Wave.objects.filter(rollout=rollout).values_list("number", "size", "label"))
    assert sizes == [(1, 1, "1"), (2, 4, "100 %")]
    entry = AuditEntry.objects.get(action="rollout.started")
    assert (entry.actor, entry.tenant, entry.object_kind, entry.object_id) == (asker.name, acme, "rollout", rollout.pk)
    assert entry.detail == {"gateways": 5, "left_out": 5}
    assert list(RolloutEvent.objects.order_by("id").values_list("kind", "actor")) == [
        ("made", asker.name),
        ("started", asker.name),
    ]
    assert Execution.objects.filter(rollout=rollout, from_version="1.0.0", from_sha256=rolling_out.OLD).count() == 5


def test_a_draft_has_nobody_and_is_started_once(acme: Tenant) -> None:
    rolling_out.gateways(acme, 2)
    draft = desk.make(COMMAND_LINE, Plan(release(), EVERYBODY, "1, 100 %", QUICK), now=T0)
    assert (draft.status, Execution.objects.count()) == ("draft", 0)
    desk.start(COMMAND_LINE, draft.pk, now=T0)
    with pytest.raises(RolloutRefusedError, match="started before"):
        desk.start(COMMAND_LINE, draft.pk, now=T0)
    assert Execution.objects.count() == 2


def test_a_start_in_which_nobody_is_leaves_nothing_behind(acme: Tenant) -> None:
    rolling_out.gateways(acme, 2, family="relay-mfr")
    with pytest.raises(RolloutRefusedError, match="None of the 2 gateways"):
        launched(release())
    assert not Rollout.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "withdrawn"}, "was withdrawn"),
        ({"status": "uploaded"}, "not published yet"),
        ({"kind": "hello"}, "test image"),
    ],
)
def test_only_a_published_release_is_rolled_out(acme: Tenant, fields: dict[str, str], says: str) -> None:
    rolling_out.gateways(acme, 1)
    with pytest.raises(RolloutRefusedError, match=says):
        launched(release(**fields))


def test_two_starts_at_the_same_moment_give_a_gateway_one_update(acme: Tenant) -> None:
    rolling_out.gateways(acme, 300)
    asked = [Plan(release(counter=n, sha256=str(n) * 64), EVERYBODY, "100 %", QUICK) for n in (2, 3)]
    outcomes: list[object] = []

    def start(one: Plan) -> None:
        try:
            outcomes.append(desk.launch(COMMAND_LINE, one, now=T0)[1].gateways)
        except RolloutRefusedError:
            outcomes.append("nobody is free")
        finally:
            django_connection.close()

    threads = [threading.Thread(target=start, args=[one]) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(map(str, outcomes)) == ["300", "nobody is free"]
    assert Execution.objects.count() == 300


def test_a_preview_changes_nothing_and_has_pages(acme: Tenant) -> None:
    rolling_out.gateways(acme, 130)
    rolling_out.gateways(acme, 5, "RELAY", family="relay-mfr")
    asked = Plan(release(), EVERYBODY)
    first = plan.preview(COMMAND_LINE, asked, now=T0)
    assert (first.gateways, first.left_out) == (130, {"wrong_family": 5})
    assert [wave.size for wave in first.waves] == [1, 6, 26, 97]
    second = plan.preview(COMMAND_LINE, asked, now=T0, offset=100)
    assert [each.code for each in (*first.page, *second.page)] == [f"GW-{n:06}" for n in range(130)]
    left_out = plan.preview(COMMAND_LINE, asked, now=T0, reason=Reason.WRONG_FAMILY)
    assert [each.code for each in left_out.page] == [f"RELAY-{n:06}" for n in range(5)]
    assert not Rollout.objects.exists()


# What people do


def test_a_canceled_rollout_ends_for_all_also_for_those_under_way(acme: Tenant) -> None:
    rolling_out.gateways(acme, 6)
    rollout = launched(release(), waves="100 %")
    ids = list(Execution.objects.order_by("pk").values_list("pk", flat=True))
    Execution.objects.filter(pk=ids[0]).update(status="SUCCEEDED")
    Execution.objects.filter(pk=ids[1]).update(status="IN_PROGRESS", phase="downloading", offered_at=T0)
    Execution.objects.filter(pk=ids[2]).update(offered_at=T0)
    assert desk.cancel(COMMAND_LINE, rollout.pk, now=T0) == 5
    assert statuses(rollout) == {1: {"SUCCEEDED": 1, "CANCELED": 5}}
    assert set(Execution.objects.filter(status="CANCELED").values_list("reason", "finished_at")) == {("requested", T0)}
    with pytest.raises(RolloutRefusedError, match="is over"):
        desk.cancel(COMMAND_LINE, rollout.pk, now=T0)
    launched(release(counter=3, sha256="c" * 64), waves="100 %")  # they are free for another


def test_a_newer_release_takes_the_place_of_one_that_halted(acme: Tenant) -> None:
    rolling_out.gateways(acme, 6)
    old = launched(release(), waves="1, 50 %, 100 %", limits=replace(QUICK, soak_s=77))
    Rollout.objects.filter(pk=old.pk).update(status="halted")
    Execution.objects.filter(wave=1).update(status="FAILED", reason="rolled_back", offered_at=T0)
    new, started = desk.replace(COMMAND_LINE, old.pk, release(version="1.1.1", counter=3, sha256="c" * 64), now=T0)
    assert (started.gateways, new.soak_s, new.target, new.replaces) == (6, 77, {"all": True}, old)
    old.refresh_from_db()
    assert (old.status, statuses(old)) == ("canceled", {1: {"FAILED": 1}, 2: {"CANCELED": 2}, 3: {"CANCELED": 3}})
    assert set(Execution.objects.filter(status="CANCELED").values_list("reason", flat=True)) == {"superseded"}
    assert AuditEntry.objects.get(action="rollout.replaced").detail == {"version": "1.1.1", "rollout": new.pk}


def test_an_older_release_takes_no_ones_place(acme: Tenant) -> None:
    rolling_out.gateways(acme, 1)
    rollout = launched(release(counter=5))
    with pytest.raises(RolloutRefusedError, match="is not newer"):
        desk.replace(COMMAND_LINE, rollout.pk, release(counter=4, sha256="c" * 64), now=T0)
    rollout.refresh_from_db()
    assert rollout.status == "running"


def test_deeds_that_do_not_fit_are_sentences(acme: Tenant) -> None:
    rolling_out.gateways(acme, 1)
    rollout = launched(release())
    [execution] = Execution.objects.all()
    with pytest.raises(RolloutRefusedError, match="can be resumed; this one is running"):
        desk.resume(COMMAND_LINE, rollout.pk, now=T0)
    with pytest.raises(RolloutRefusedError, match="can't try again"):
        gateway_desk.retry(COMMAND_LINE, execution.pk, now=T0)
    gateway_desk.cancel(COMMAND_LINE, execution.pk, now=T0)
    with pytest.raises(RolloutRefusedError, match="is over"):
        gateway_desk.cancel(COMMAND_LINE, execution.pk, now=T0)
    desk.cancel(COMMAND_LINE, rollout.pk, now=T0)
    with pytest.raises(RolloutRefusedError, match="does not run"):
        gateway_desk.retry(COMMAND_LINE, execution.pk, now=T0)
    with pytest.raises(RolloutRefusedError, match="can be paused; this one is canceled"):
        desk.pause(COMMAND_LINE, rollout.pk, now=T0)


def test_a_rollout_that_was_complete_runs_again_for_who_tries_again(acme: Tenant) -> None:
    rolling_out.gateways(acme, 2)
    rollout = launched(release(), waves="100 %")
    Execution.objects.update(status="TIMED_OUT", reason="no_answer", offered_at=T0, finished_at=T0)
    Rollout.objects.update(status="completed", finished_at=T0, current_wave=1)
    Wave.objects.update(opened_at=T0, offers_until=T0)
    first = Execution.objects.order_by("pk").first()
    assert first is not None
    again = gateway_desk.retry(COMMAND_LINE, first.pk, now=T0)
    rollout.refresh_from_db()
    assert (rollout.status, again.status, again.attempt, again.offered_at, again.deadline_at) == (
        "running",
        "QUEUED",
        2,
        None,
        None,
    )
    until = Wave.objects.get().offers_until
    assert until is not None
    assert until > T0


def test_a_withdrawn_release_can_not_be_resumed(acme: Tenant) -> None:
    rolling_out.gateways(acme, 1)
    rollout = launched(release())
    desk.pause(COMMAND_LINE, rollout.pk, now=T0)
    type(rollout.release).objects.update(status="withdrawn")
    with pytest.raises(RolloutRefusedError, match="was withdrawn"):
        desk.resume(COMMAND_LINE, rollout.pk, now=T0)


def test_every_deed_is_in_the_audit_trail_with_its_doer(acme: Tenant) -> None:
    rolling_out.gateways(acme, 3)
    asker = member(acme)
    rollout, _started = desk.launch(asker, Plan(release(), EVERYBODY, "100 %", QUICK), now=T0)
    desk.pause(asker, rollout.pk, now=T0)
    desk.resume(asker, rollout.pk, now=T0)
    [first, second, _third] = Execution.objects.order_by("pk")
    gateway_desk.cancel(asker, first.pk, now=T0)
    gateway_desk.retry(asker, first.pk, now=T0)
    Execution.objects.filter(pk=second.pk).update(status="FAILED")
    gateway_desk.retry_failed(asker, rollout.pk, now=T0)
    desk.replace(asker, rollout.pk, release(counter=3, sha256="c" * 64), now=T0)
    desk.cancel(asker, Rollout.objects.latest("pk").pk, now=T0)
    trail = AuditEntry.objects.order_by("id").values_list("action", "actor", "tenant__slug")
    expected: Final = [
        "rollout.started",
        "rollout.paused",
        "rollout.resumed",
        "update.canceled",
        "update.retried",
        "update.retried",
        "rollout.started",
        "rollout.replaced",
        "rollout.canceled",
    ]
    assert list(trail) == [(action, asker.name, "acme") for action in expected]


# The target


@pytest.mark.parametrize(
    "document",
    [
        {"all": True},
        {"tenant": "acme", "families": ["dcu-0080", "relay-mfr"]},
        {"sites": [1, 2], "codes": ["GW-1"]},
        {"families": ["dcu-0080"], "tags": ["norte", "sul"]},
    ],
)
def test_a_target_is_kept_as_it_was_given(document: dict[str, Any]) -> None:
    assert target.parse(document).document() == document


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "Say which gateways"),
        ({"all": "yes"}, "Say which gateways"),
        ([], "is an object"),
        ("all", "is an object"),
        ({"tags": "norte"}, "right form"),
        ({"tags": [""]}, "right form"),
        ({"tags": ["a\x00b"]}, "has a character that none can have"),
        ({"codes": ["GW-1", "x" * 201]}, "is no family, tag or code: none is longer than 200 characters"),
        ({"tags": [str(n) for n in range(1_001)]}, "at most 1000"),
        ({"where": "1=1"}, "nothing to choose gateways by"),
        ({"codes": "GW-1"}, "right form"),
        ({"codes": [""]}, "right form"),
        ({"sites": ["1"]}, "right form"),
        ({"sites": [True]}, "right form"),
        ({"families": [1]}, "right form"),
        ({"tenant": 1}, "right form"),
        ({"codes": [str(n) for n in range(10_001)]}, "at most 10000"),
    ],
)
def test_a_target_that_makes_no_sense_is_a_sentence(document: Any, says: str) -> None:
    with pytest.raises(RolloutRefusedError, match=says):
        target.parse(document)


def test_criteria_of_a_target_narrow_one_another(acme: Tenant, rival: Tenant) -> None:
    site = Site.objects.create(tenant=acme, name="plant")
    rolling_out.gateways(acme, 1, "A", site=site)
    [b] = rolling_out.gateways(acme, 1, "B", site=site, family="relay-mfr")
    [c] = rolling_out.gateways(acme, 1, "C")
    [d] = rolling_out.gateways(rival, 1, "D")
    tags.tag([b, d], ["Norte"], by=audit.COMMAND_LINE)
    tags.tag([b, c], ["sul"], by=audit.COMMAND_LINE)
    [old] = rolling_out.gateways(rival, 1, "E")
    Gateway.objects.filter(pk=old.pk).update(status="retired", retired_at=T0)

    def found(**criteria: Any) -> str:
        return "".join(
            code[0] for code in Target(**criteria).select(Gateway.objects.all()).values_list("code", flat=True)
        )

    assert found(everything=True) == "ABCD"
    assert found(tenant="acme") == "ABC"
    assert found(sites=(site.pk,)) == "AB"
    assert found(sites=(site.pk,), families=("dcu-0080",)) == "A"
    assert found(families=("dcu-0080",)) == "ACD"
    assert found(tags=("norte",)) == "BD"  # over several companies each one's tag of that name
    assert found(tags=("norte", "SUL", "oeste")) == "BCD"
    assert found(tags=("sul",), sites=(site.pk,)) == "B"
    assert found(tags=("norte",), tenant="rival") == "D"
    assert found(tags=("norte",), codes=("C-000000", "D-000000")) == "D"
    assert found(tags=("oeste",)) == ""
    assert found(codes=("E-000000", "D-000000")) == "DE"  # a retired one where it is called by name
    Gateway.objects.filter(code="A-000000").update(family="relay-mfr")
    assert found(families=("dcu-0080",)) == "ACD"  # by its own word it is what it was
