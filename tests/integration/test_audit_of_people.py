"""The audit trail of what is done with people, roles, tenants and API tokens: by command, in /admin/, by themselves."""

import json
import re
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from tds.fleet import tokens
from tds.fleet.commands import tenant_app, user_app
from tds.fleet.models import ApiToken, AuditEntry, Membership, Role, Tenant, User
from tds.fleet.token_commands import token_app
from tests import seeding
from tests.commanding import Commands

pytestmark = pytest.mark.django_db

PASSWORD: Final = "seis palavras longas que ninguém usa"


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


def trail() -> list[tuple[Any, ...]]:
    return list(
        AuditEntry.objects.order_by("id").values_list("actor", "action", "object_kind", "object_name", "detail")
    )


def whole_trail() -> str:
    return json.dumps(list(AuditEntry.objects.order_by("id").values()), default=str)


def sent(client: Client, address: str, **changed: Any) -> None:
    """A form of /admin/ as it comes, with these fields changed."""
    form = client.get(address).context["adminform"].form
    fields = {form.add_prefix(name): form[name].value() for name in form.fields}
    fields = {name: value for name, value in fields.items() if value not in (None, False)}
    inlines = {
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
        "memberships-MIN_NUM_FORMS": 0,
        "memberships-MAX_NUM_FORMS": 1000,
    }
    answer = client.post(address, fields | inlines | changed)
    assert answer.status_code == 302, answer.content.decode()


def test_tenants_people_and_roles_of_the_command_line_are_written_down() -> None:
    Commands("tenant", tenant_app).done("add", "acme")
    user = Commands("user", user_app)
    user.done("add", "ana", "--tenant", "acme", "--password-stdin", stdin=PASSWORD)
    user.done("add", "ana", "--tenant", "acme")  # changes nothing
    user.done("add", "ana", "--tenant", "acme", "--role", "admin", "--password-stdin", stdin=PASSWORD + "!")
    line = "command line"
    assert trail() == [
        (line, "tenant.added", "tenant", "acme", {}),
        (line, "person.added", "person", "ana", {}),
        (line, "role.given", "person", "ana", {"role": "viewer"}),
        (line, "person.changed", "person", "ana", {"fields": "password"}),
        (line, "role.changed", "person", "ana", {"before": "viewer", "role": "admin"}),
    ]
    assert set(AuditEntry.objects.filter(action__startswith="role").values_list("tenant__slug", flat=True)) == {"acme"}
    kept = User.objects.get(username="ana").password
    assert not [secret for secret in (PASSWORD, kept) if secret in whole_trail()]


def test_a_token_is_written_down_without_its_secret(acme: Tenant) -> None:
    seeding.gateway(acme, "GW-1")
    made = Commands("token", token_app).done("add", "--gateway", "GW-1", "--name", "coletor", "--days", "30")
    [(_actor, action, kind, name, detail)] = trail()
    assert (action, kind, name) == ("token.made", "token", "coletor")
    assert detail == {"begins_with": made["token"][:8], "gateway": "GW-1", "expires_at": made["expires_at"]}
    token = ApiToken.objects.get()
    assert not [secret for secret in (made["token"], made["token"][8:], token.sha256) if secret in whole_trail()]


def test_a_token_that_is_revoked_or_deleted_in_admin_is_written_down(acme: Tenant, admin_client: Client) -> None:
    first, _secret = tokens.create(acme, name="one")
    second, _secret = tokens.create(acme, name="two")
    address = reverse("admin:tds_new_apitoken_change", args=[first.pk])
    plain = {"name": "one", "expires_at_0": "", "expires_at_1": ""}
    revoked = plain | {"revoked_at_0": "2026-02-18", "revoked_at_1": "12:00:00"}
    assert admin_client.post(address, revoked | {"name": "uno"}).status_code == 302
    assert admin_client.post(address, revoked | {"name": "eins"}).status_code == 302
    gone = reverse("admin:tds_new_apitoken_delete", args=[second.pk])
    assert admin_client.post(gone, {"post": "yes"}).status_code == 302
    told = [(actor, action, name) for actor, action, _kind, name, _detail in trail() if action != "token.made"]
    assert told == [
        ("admin", "token.revoked", "uno"),
        ("admin", "token.changed", "eins"),
        ("admin", "token.revoked", "two"),
    ]


def test_people_and_tenants_of_admin_are_written_down(acme: Tenant, admin_client: Client) -> None:
    add = {"username": "bia", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    inline = {"memberships-0-tenant": acme.pk, "memberships-0-role": "operator", "memberships-TOTAL_FORMS": 1}
    sent(admin_client, reverse("admin:tds_new_user_add"), **add, **inline)
    bia = User.objects.get(username="bia")
    change = reverse("admin:tds_new_user_change", args=[bia.pk])
    membership = bia.memberships.get()
    row = {"memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 1, "memberships-0-id": membership.pk}
    row |= {"memberships-0-user": bia.pk, "memberships-0-tenant": acme.pk}
    dates = {"date_joined_0": "2026-02-18", "date_joined_1": "12:00:00", "last_login_0": "", "last_login_1": ""}
    sent(admin_client, change, **dates | row | {"memberships-0-role": "admin", "first_name": "Bia"})
    sent(admin_client, change, **dates | row | {"memberships-0-role": "admin", "memberships-0-DELETE": "on"})
    new = {"usable_password": "true", "password1": PASSWORD + "!", "password2": PASSWORD + "!"}
    assert admin_client.post(reverse("admin:auth_user_password_change", args=[bia.pk]), new).status_code == 302
    assert admin_client.post(reverse("admin:tds_new_user_delete", args=[bia.pk]), {"post": "yes"}).status_code == 302
    sent(admin_client, reverse("admin:tds_new_tenant_change", args=[acme.pk]), name="Acme S.A.")
    assert admin_client.post(reverse("admin:tds_new_tenant_delete", args=[acme.pk]), {"post": "yes"}).status_code == 302
    told = [(action, name, detail) for _actor, action, _kind, name, detail in trail()]
    assert told[:3] == [
        ("person.added", "bia", {}),
        ("role.given", "bia", {"role": "operator"}),
        ("person.changed", "bia", told[2][2]),
    ]
    assert "first_name" in told[2][2]["fields"]
    assert [each for each in told[3:] if each[:2] != ("person.changed", "bia")] == [
        ("role.changed", "bia", {"before": "operator", "role": "admin"}),
        ("role.taken", "bia", {"before": "admin"}),
        ("person.removed", "bia", {}),
        ("tenant.changed", "acme", {"fields": "name"}),
        ("tenant.removed", "acme", {}),
    ]
    assert ("person.changed", "bia", {"fields": "password"}) in told
    assert {actor for actor, *_rest in trail()} == {"admin"}
    assert not re.search(re.escape(PASSWORD), whole_trail())


def test_a_role_that_is_given_changed_and_taken_on_its_own_page_is_written_down(
    acme: Tenant, admin_client: Client
) -> None:
    ana = seeding.person("ana")
    add = reverse("admin:tds_new_membership_add")
    assert admin_client.post(add, {"user": ana.pk, "tenant": acme.pk, "role": "viewer"}).status_code == 302
    membership = Membership.objects.get(user=ana)
    change = reverse("admin:tds_new_membership_change", args=[membership.pk])
    assert admin_client.post(change, {"role": "viewer"}).status_code == 302
    assert admin_client.post(change, {"role": "operator"}).status_code == 302
    chosen = {"action": "delete_selected", "_selected_action": [membership.pk], "post": "yes"}
    admin_client.post(reverse("admin:tds_new_membership_changelist"), chosen)
    assert not Membership.objects.filter(user=ana).exists()
    assert [(action, detail) for _actor, action, _kind, _name, detail in trail()] == [
        ("role.given", {"role": "viewer"}),
        ("role.changed", {"before": "viewer", "role": "operator"}),
        ("role.taken", {"before": "operator"}),
    ]


def test_a_person_that_changes_the_own_password_is_written_down(acme: Tenant, client: Client) -> None:
    ana = seeding.person("ana", acme, role=Role.VIEWER)
    client.force_login(ana)
    form = {"oldpassword": "correct horse", "password1": PASSWORD, "password2": PASSWORD}
    answer = client.post(reverse("account_change_password"), form)
    assert answer.status_code == 302, answer.content.decode()
    assert trail() == [("ana", "person.changed", "person", "ana", {"fields": "password"})]
