"""Who starts a rollout has seen whom it is for: what was changed since the look is looked at again."""

import re
from html import unescape
from typing import Any, Final

import pytest
from django.test import Client

from tds.fleet.models import Role, Tenant
from tds.updates.models import Execution, Release, Rollout
from tests import rolling_out, seeding
from tests.refusing import signed_in, text_of

pytestmark = pytest.mark.django_db

NEW: Final = "/tds_new/atualizacoes/nova/"
FORM: Final = {
    "quem": "escolher",
    "codigos": "GW-000000",
    "ondas": "100 %",
    "sucesso": "95",
    "falha": "10",
    "minimo": "5",
    "observar": "30",
    "ao_mesmo_tempo": "500",
    "espalhar": "0",
    "ausentes": "24",
}


@pytest.fixture
def release() -> Release:
    return rolling_out.release()


@pytest.fixture
def operator(tenant: Tenant) -> Client:
    rolling_out.gateways(tenant, 4)
    return signed_in(seeding.person("olga", tenant, role=Role.OPERATOR))


def posted(client: Client, release: Release, action: str, **fields: str) -> Any:
    return client.post(NEW, FORM | {"versao": str(release.pk), "acao": action} | fields)


def seen(answer: Any) -> str:
    found = re.search(r'<input type="hidden" name="visto" value="([^"]+)">', text_of(answer))
    assert found, text_of(answer)
    return unescape(found[1])


@pytest.mark.parametrize("changed", [{"codigos": "GW-000001 GW-000002"}, {"quem": "todos"}, {"ondas": "1, 100 %"}])
def test_a_plan_that_was_changed_since_the_look_is_shown_and_not_started(
    release: Release, operator: Client, changed: dict[str, str]
) -> None:
    looked = seen(posted(operator, release, "ver"))
    answer = posted(operator, release, "iniciar", visto=looked, **changed)
    assert answer.status_code == 200
    assert "You changed the plan since you looked" in text_of(answer)
    assert not Rollout.objects.exists()
    assert posted(operator, release, "iniciar", visto=seen(answer), **changed).status_code == 302
    assert Rollout.objects.count() == 1


def test_a_plan_that_was_looked_at_is_started_also_with_another_name_and_other_limits(
    release: Release, operator: Client
) -> None:
    looked = seen(posted(operator, release, "ver"))
    assert posted(operator, release, "iniciar", visto=looked, nome="Março", observar="1").status_code == 302
    assert [each.gateway.code for each in Execution.objects.all()] == ["GW-000000"]
