"""The tenant filter: whose fleet a signed-in person sees, and what they may do there."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import Client

from tds.fleet import access, tokens
from tds.fleet.access import Scope
from tds.fleet.models import Gateway, Membership, Role, Site, Tenant, User
from tds.ingest.models import LedgerHour
from tests import seeding

pytestmark = pytest.mark.django_db

FLEET: list[Callable[[Scope], int]] = [
    lambda scope: scope.sites().count(),
    lambda scope: scope.gateways().count(),
    lambda scope: scope.devices().count(),
    lambda scope: scope.metrics().count(),
    lambda scope: scope.device_metrics().count(),
    lambda scope: scope.tokens().count(),
]


def populated(slug: str) -> Tenant:
    tenant = seeding.tenant(slug)
    Site.objects.create(tenant=tenant, name="Galpão")
    seeding.series(seeding.gateway(tenant, f"GW-{slug}"), "D01", "temperatura", "°C")
    tokens.create(tenant)
    return tenant


@pytest.fixture
def mine() -> Tenant:
    return populated("minha")


@pytest.fixture
def theirs() -> Tenant:
    return populated("alheia")


def request_of(user: User | AnonymousUser, **session: object) -> HttpRequest:
    request = HttpRequest()
    request.user = user
    request.session = SessionStore()
    request.session.update(session)
    return request


def test_a_member_sees_one_of_each_and_nothing_of_the_other_tenant(mine: Tenant, theirs: Tenant) -> None:
    scope = access.of(request_of(seeding.person("ana", mine)))
    assert scope.tenant == mine
    assert [count(scope) for count in FLEET] == [1] * len(FLEET)
    assert [gateway.tenant for gateway in scope.gateways()] == [mine]
    assert [device.gateway.tenant for device in scope.devices()] == [mine]
    assert [link.device.gateway.tenant for link in scope.device_metrics()] == [mine]


@pytest.mark.parametrize("who", ["anonymous", "without a tenant", "inactive", "operator without a tenant"])
def test_who_belongs_to_no_tenant_sees_nothing(mine: Tenant, who: str) -> None:
    user: User | AnonymousUser = AnonymousUser()
    if who == "without a tenant":
        user = seeding.person("ninguem")
    elif who == "inactive":
        user = seeding.person("ex", mine, role=Role.ADMIN, is_active=False)
    elif who == "operator without a tenant":
        user = User.objects.create_superuser("operador", password="correct horse")
    scope = access.of(request_of(user, tenant_id=mine.pk))
    assert scope.tenant is None
    assert [count(scope) for count in FLEET] == [0] * len(FLEET)
    assert not scope.filter(LedgerHour.objects.all(), "tenant").exists()
    assert not scope.may(Role.VIEWER)


def test_a_session_that_names_a_tenant_one_left_shows_ones_own(mine: Tenant, theirs: Tenant) -> None:
    user = seeding.person("ana", mine, theirs)
    assert access.of(request_of(user, tenant_id=theirs.pk)).tenant == theirs
    Membership.objects.filter(user=user, tenant=theirs).delete()
    assert access.of(request_of(user, tenant_id=theirs.pk)).tenant == mine


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, [True, False, False]),
        (Role.OPERATOR, [True, True, False]),
        (Role.ADMIN, [True, True, True]),
    ],
)
def test_each_role_holds_the_rights_of_the_ones_before_it(mine: Tenant, role: Role, rights: list[bool]) -> None:
    scope = access.of(request_of(seeding.person("ana", mine, role=role)))
    asked = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    assert [scope.may(right) for right in asked] == rights
    for right, granted in zip(asked, rights, strict=True):
        if granted:
            scope.require(right)
        else:
            with pytest.raises(PermissionDenied):
                scope.require(right)


def test_the_role_of_one_tenant_is_worth_nothing_in_the_other(mine: Tenant, theirs: Tenant) -> None:
    user = seeding.person("ana", mine, role=Role.ADMIN)
    Membership.objects.create(user=user, tenant=theirs, role=Role.VIEWER)
    request = request_of(user, tenant_id=mine.pk)
    assert access.of(request).may(Role.ADMIN)
    assert access.switch(request, theirs.slug)
    assert access.of(request).tenant == theirs
    assert not access.of(request).may(Role.OPERATOR)


def test_nobody_switches_to_a_tenant_they_do_not_belong_to(mine: Tenant, theirs: Tenant) -> None:
    client = Client()
    client.force_login(seeding.person("ana", mine))
    for slug in (theirs.slug, "nenhuma", "", "\x00"):
        assert client.post("/tds_new/telemetria/cliente/", {"tenant": slug}).status_code == 404
    assert "alheia" not in client.get("/tds_new/telemetria/opcoes/").content.decode()


def test_a_member_of_two_tenants_sees_one_at_a_time(mine: Tenant, theirs: Tenant) -> None:
    client = Client()
    client.force_login(seeding.person("ana", mine, theirs))

    def codes() -> list[str]:
        return [gateway["codigo"] for gateway in client.get("/tds_new/telemetria/opcoes/").json()["gateways"]]

    for tenant in (mine, theirs, mine):
        assert client.post("/tds_new/telemetria/cliente/", {"tenant": tenant.slug}).status_code == 302
        assert codes() == [f"GW-{tenant.slug}"]


def test_a_switch_needs_a_form_of_ours(mine: Tenant, theirs: Tenant) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(seeding.person("ana", mine, theirs))
    assert client.post("/tds_new/telemetria/cliente/", {"tenant": theirs.slug}).status_code == 403
    assert client.get("/tds_new/telemetria/cliente/", {"tenant": theirs.slug}).status_code == 405


def test_a_person_who_is_deactivated_is_out_at_once(mine: Tenant) -> None:
    client, user = Client(), seeding.person("ana", mine)
    client.force_login(user)
    assert client.get("/tds_new/telemetria/api/timeline/").status_code == 200
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/tds_new/telemetria/api/timeline/").status_code == 401


def test_only_the_operator_comes_into_admin(mine: Tenant) -> None:
    clerk = seeding.person("ana", mine, role=Role.ADMIN, is_staff=True)
    operator = User.objects.create_superuser("operador", password="correct horse")
    answers = {}
    for user in (None, clerk, operator):
        client = Client()
        if user:
            client.force_login(user)
        answers[user] = client.get("/admin/tds_new/gateway/", follow=True)
    assert answers[None].redirect_chain[-1][0].startswith("/accounts/login/")
    assert answers[clerk].status_code == 403
    assert answers[operator].status_code == 200


def test_a_gateway_never_changes_tenant_in_admin(mine: Tenant, theirs: Tenant) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("operador", password="correct horse"))
    gateway = Gateway.objects.get(code="GW-minha")
    form = {"tenant": theirs.pk, "code": "GW-X", "name": "Novo", "status": "active", "auto_devices": "on", "site": ""}
    response = client.post(
        f"/admin/tds_new/gateway/{gateway.pk}/change/",
        form | {"retired_at_0": "", "retired_at_1": ""},
    )
    assert response.status_code == 302, response.content
    gateway.refresh_from_db()
    assert (gateway.tenant, gateway.code, gateway.name) == (mine, "GW-minha", "Novo")
