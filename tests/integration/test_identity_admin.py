"""/admin/ on the identity of gateways: the operator looks, the platform alone writes, and no secret is on any page."""

from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from tds.fleet import audit, lifecycle
from tds.fleet.models import AuditEntry, Gateway, GatewayStatus, User
from tds.identity.enrolment import claims
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, How, RevocationList
from tests import seeding

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> Gateway:
    return seeding.gateway(seeding.tenant("acme"), "GW-1")


@pytest.fixture
def operator() -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(User.objects.create_superuser("operador", password="correct horse"))
    return client


def written(gateway: Gateway) -> tuple[list[Model], set[str]]:
    """A row of each, and the secrets in them."""
    now = timezone.now()
    claim, secret = claims.make(gateway, now=now, by=audit.COMMAND_LINE)
    rows: list[Model] = [
        claim,
        AuditEntry.objects.get(),
        GatewayPassword.objects.create(gateway=gateway, hash="$7$101$the-hash-of-a-password"),
        RevocationList.objects.create(
            issuer="device-1", revision=1, this_update=now, next_update=now, pem="", anchor="", canary="the-canarys-key"
        ),
        BrokerAccess.objects.create(broker="broker", revision=1, applied_at=now, as_of=now),
        Certificate.objects.create(
            gateway=gateway,
            serial="ab" * 20,
            issuer="device-1",
            fingerprint="cd" * 32,
            how=How.FACTORY,
            not_before=now,
            not_after=now,
            issued_at=now,
        ),
    ]
    return rows, {secret, claim.sha256, "the-hash-of-a-password", "the-canarys-key"}


def address(row: Model, *rest: Any) -> str:
    return "/".join(["/admin/tds_new", str(row._meta.model_name), *map(str, rest), ""])


def test_every_row_is_looked_at_and_shows_no_secret(gateway: Gateway, operator: Client) -> None:
    rows, secrets = written(gateway)
    for row in rows:
        for path in (address(row), address(row, row.pk, "change")):
            answer = operator.get(path)
            assert answer.status_code == 200, path
            assert not [secret for secret in secrets if secret in answer.content.decode()], path


def test_nobody_writes_there_what_the_platform_writes(gateway: Gateway, operator: Client) -> None:
    rows, _secrets = written(gateway)
    for row in rows:
        before = list(type(row)._default_manager.values())
        assert operator.get(address(row, "add")).status_code == 403
        assert operator.post(address(row, row.pk, "change"), {"actor": "nobody", "revision": "99"}).status_code == 403
        assert operator.post(address(row, row.pk, "delete"), {"post": "yes"}).status_code == 403
        sent = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
        operator.post(address(row), sent)
        assert list(type(row)._default_manager.values()) == before


def test_a_gateway_is_disabled_there_by_an_action_that_says_who_did_it(gateway: Gateway, operator: Client) -> None:
    retired = seeding.gateway(gateway.tenant, "GW-OLD")
    lifecycle.change(retired, GatewayStatus.RETIRED, by=audit.COMMAND_LINE, now=timezone.now())
    chosen = {"_selected_action": [str(gateway.pk), str(retired.pk)]}
    answer = operator.post(address(gateway), chosen | {"action": "disable"}, follow=True)
    assert "1 gateway was changed." in answer.content.decode()
    gateway.refresh_from_db()
    assert gateway.status == GatewayStatus.DISABLED
    operator.post(address(gateway), chosen | {"action": "enable"})
    done = list(AuditEntry.objects.filter(object_id=gateway.pk).order_by("id").values_list("actor", "action"))
    assert done == [("operador", "gateway.disabled"), ("operador", "gateway.enabled")]
    # By the form itself neither: nobody would know who did it.
    operator.post(address(gateway, gateway.pk, "change"), {"name": "Novo", "status": "retired", "auto_devices": "on"})
    gateway.refresh_from_db()
    assert (gateway.name, gateway.status) == ("Novo", GatewayStatus.ACTIVE)


def test_a_claim_code_is_not_made_there(gateway: Gateway, operator: Client) -> None:
    assert operator.post("/admin/tds_new/claimcode/add/", {"gateway": gateway.pk}).status_code == 403
    assert not ClaimCode.objects.exists()
