"""No address shows one tenant to another: every URL that Django knows is asked, with the victim's own ids and codes."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db.models import Model
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils import timezone
from django.utils.http import int_to_base36
from django.utils.regex_helper import normalize

from tds import wiring
from tds.devicelink.models import GatewayPresence
from tds.environment import ROOT
from tds.fleet import audit, lifecycle, tags, tokens
from tds.fleet.models import (
    ApiToken,
    AuditEntry,
    Device,
    Gateway,
    GatewayStatus,
    GatewayTag,
    Membership,
    Metric,
    Role,
    Site,
    Tag,
    Tenant,
    User,
)
from tds.heartbeat import Heartbeat
from tds.identity.enrolment import claims
from tds.identity.models import Certificate, ClaimCode, GatewayPassword, How
from tds.ingest.models import LedgerDay, LedgerHour, QuarantineCount, QuarantinedMessage
from tds.readings.models import LedgerDropped, Reading
from tds.updates.models import Execution, LeftOut, Release, Rollout, RolloutEvent, RunningFirmware
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.target import Target
from tests import rolling_out, seeding

pytestmark = pytest.mark.django_db

PREFIX: Final = "tds_new/telemetria/"
GATEWAYS: Final = "tds_new/gateways/"
OF_A_GATEWAY: Final = f"{GATEWAYS}<str:code>/"
ROLLOUTS: Final = "tds_new/atualizacoes/"
OF_A_ROLLOUT: Final = f"{ROLLOUTS}<int:number>/"
RELEASES: Final = "tds_new/versoes/"
OF_A_RELEASE: Final = f"{RELEASES}<int:number>/"

API_ROLLOUT: Final = f"{PREFIX}api/atualizacoes/<int:id>/"
KEPT_MESSAGE: Final = f"{PREFIX}api/quarentena/<int:id>/"

# Whose number it is, below an address.
BELOW: Final = {
    KEPT_MESSAGE: "quarantinedmessage",
    OF_A_ROLLOUT: "rollout",
    API_ROLLOUT: "rollout",
    OF_A_RELEASE: "release",
}

# Who may see what at an address. A new one belongs here before it is served.
MEMBERS: Final = {  # what the signed-in person's tenant has, and nothing else
    PREFIX,
    f"{PREFIX}api/timeline/",
    f"{PREFIX}api/barras/",
    f"{PREFIX}api/cartoes/",
    f"{PREFIX}api/registro/",
    f"{PREFIX}opcoes/",
    f"{PREFIX}api/quarentena/",
    f"{PREFIX}api/versoes/",
    f"{PREFIX}api/atualizacoes/",
    API_ROLLOUT,
    f"{PREFIX}registro/",
    f"{PREFIX}quarentena/",
    f"{PREFIX}quarentena/exportar/",
    KEPT_MESSAGE,
    GATEWAYS,
    OF_A_GATEWAY,
    ROLLOUTS,
    f"{ROLLOUTS}nova/",
    OF_A_ROLLOUT,
    RELEASES,
    OF_A_RELEASE,
}
ACTIONS: Final = {  # of members as well, but a GET shows nothing
    f"{PREFIX}cliente/",
    f"{PREFIX}quarentena/acao/",
    f"{PREFIX}api/quarentena/reprocessar/",
    f"{PREFIX}api/quarentena/eliminar/",
    f"{PREFIX}api/atualizacoes/previa/",
    f"{API_ROLLOUT}acao/",
    f"{OF_A_GATEWAY}acao/",
    f"{OF_A_ROLLOUT}acao/",
    f"{RELEASES}enviar/",
    f"{OF_A_RELEASE}acao/",
}
PLATFORM: Final = {f"{PREFIX}situacao/", f"{PREFIX}api/situacao/"}  # the platform operator's alone
TOKENS: Final = {f"{PREFIX}api/leituras/"}  # what the bearer token's tenant has
OWN_ACCOUNT: Final = {  # the person's own, whatever the tenant
    *(
        f"accounts/{name}/"
        for name in (
            *("login", "logout", "inactive", "signup", "reauthenticate", "email", "confirm-email"),
            *("password/change", "password/set", "password/reset", "password/reset/done", "password/reset/key/done"),
            *("login/code/confirm", "2fa", "2fa/authenticate", "2fa/reauthenticate", "2fa/totp/activate"),
            *(
                "2fa/totp/deactivate",
                "2fa/recovery-codes",
                "2fa/recovery-codes/generate",
                "2fa/recovery-codes/download",
            ),
        )
    ),
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$",
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
}
NOBODYS: Final = {  # the same for everyone: no tenant's name, code or number
    "",
    "healthz",
    "metrics",
    "i18n/setlang/",
    f"{PREFIX}api/",
    f"{PREFIX}api/openapi.json",
    f"{PREFIX}api/docs/",
}
OPERATORS: Final = "admin/"  # all that is below: the platform operator's alone

METHODS: Final = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
MARK: Final = "vitima"  # in every name of the victim; values that can't hold it are listed by `markers`
VALUE: Final = 771177.25


@dataclass(frozen=True)
class Address:
    """A URL with its parameters filled in with what is the victim's."""

    route: str
    path: str


@dataclass(frozen=True)
class Victim:
    tenant: Tenant
    user: User
    gateway: Gateway
    device: Device
    token: ApiToken
    claim_secret: str
    rows: dict[str, Any]  # the victim's row of each model that /admin/ shows

    @property
    def markers(self) -> set[str]:
        numbers = {str(VALUE), str(int(VALUE)), f"{771177:040x}"}
        return {MARK, self.token.hint.casefold(), self.token.sha256, self.claim_secret.casefold(), *numbers}


@pytest.fixture(autouse=True)
def _no_rate_limits() -> None:
    cache.clear()


@pytest.fixture
def victim() -> Victim:
    now = timezone.now()
    tenant = seeding.tenant("vitima", name="Mineração Vitima S.A.")
    site = Site.objects.create(tenant=tenant, name="Galpão da Vitima")
    user = seeding.person("pessoa-vitima", tenant, role=Role.ADMIN, email="pessoa@vitima.example")
    gateway = seeding.gateway(tenant, "GW-VITIMA-7", name="Portão da Vitima", site=site)
    series = seeding.series(gateway, "DEV-VITIMA-7", "tipo_vitima", "uVitima")
    Device.objects.filter(pk=series.device_id).update(name="Caldeira da Vitima")
    store, connection = wiring.reading_store(), wiring.database_connection()
    store.prepare(connection, now=now)
    seeding.store(series, (now - timedelta(hours=2), VALUE), (now - timedelta(minutes=5), VALUE))
    tags.tag([gateway], ["tag-vitima"], by=user)
    token, _secret = tokens.create(tenant, gateway=gateway, name="Script da Vitima")
    ApiToken.objects.filter(pk=token.pk).update(hint="tds_ViQ9")
    token.refresh_from_db()
    message = QuarantinedMessage.objects.create(
        reason="bad_value",
        detail="Um valor da Vitima",
        gateway=gateway,
        tenant=tenant,
        gateway_code=gateway.code,
        topic=f"telemetry/{gateway.code}/DEV-VITIMA-7/data",
        payload=b'{"segredo": "vitima"}',
        received_at=now,
    )
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=user, now=now)
    lifecycle.change(gateway, GatewayStatus.ACTIVE, by=user, now=now)
    claim, claim_secret = claims.make(gateway, now=now, by=user)
    certificate = Certificate.objects.create(
        gateway=gateway,
        serial=f"{771177:040x}",
        issuer="device-vitima",
        fingerprint="7a" * 32,
        how=How.FACTORY,
        not_before=now,
        not_after=now + timedelta(days=10),
        issued_at=now,
    )
    rows: list[Model] = [
        claim,
        certificate,
        audit.of_gateway(gateway)[0],
        GatewayPassword.objects.create(gateway=gateway, hash="$7$vitima-hash"),
        GatewayPresence.objects.create(
            gateway=gateway, online=True, broker="broker", brokers=["broker"], changed_at=now, witnessed=True
        ),
        tenant,
        site,
        user,
        gateway,
        token,
        message,
        user.memberships.get(),
        Tag.objects.get(),
        Device.objects.get(pk=series.device_id),
        Metric.objects.get(pk=series.metric_id),
        QuarantineCount.objects.create(reason="bad_value", gateway=gateway, total=1, kept=1, last_at=now),
        LedgerHour.objects.create(tenant=tenant, hour=now, received=12),
        LedgerDay.objects.create(tenant=tenant, day=now, received=12),
        LedgerDropped.objects.create(tenant=tenant, day=now.date(), rows=12),
    ]
    rows += updated(gateway)
    rows_by_model: dict[str, Any] = {str(row._meta.model_name): row for row in rows}
    return Victim(tenant, user, gateway, rows_by_model["device"], token, claim_secret, rows_by_model)


def updated(gateway: Gateway) -> list[Model]:
    """A release of the platform, on its way to the victim's gateway."""
    release = rolling_out.release(families=["dcu-0080"])
    RunningFirmware.objects.create(
        gateway=gateway,
        version="1.0.0-vitima",
        sha256="a" * 64,
        slot=0,
        counter=1,
        confirmed=True,
        chip="host",
        family="dcu-0080",
        life="00000001",
        boot=1,
        number=1,
        trust_version=1,
        started_at=timezone.now(),
        reported_at=timezone.now(),
    )
    plan = Plan(release, Target(codes=(gateway.code,)), "100 %", name="Versão da Vitima")
    rollout, _started = desk.launch(COMMAND_LINE, plan, now=timezone.now())
    Execution.objects.update(detail="Falha da Vitima")
    return [release, rollout]


@pytest.fixture
def stranger() -> User:
    """A member of another tenant, with all rights in it."""
    tenant = seeding.tenant("outra", name="Outra Ltda.")
    series = seeding.series(seeding.gateway(tenant, "GW-OUTRA-1"), "D01", "temperatura", "°C")
    now = timezone.now()
    wiring.reading_store().prepare(wiring.database_connection(), now=now)
    seeding.store(series, (now - timedelta(minutes=5), 21.0))
    return seeding.person("pessoa-outra", tenant, role=Role.ADMIN)


@pytest.fixture
def clerk() -> User:
    """Somebody who was given every right of Django's but is not the platform operator."""
    user = seeding.person("funcionario", seeding.tenant("terceira"), role=Role.ADMIN, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


def routes() -> Iterator[tuple[str, list[RoutePattern | Any]]]:
    def below(
        patterns: list[URLPattern | URLResolver], parts: list[Any]
    ) -> Iterator[tuple[str, list[RoutePattern | Any]]]:
        for entry in patterns:
            whole = [*parts, entry.pattern]
            if isinstance(entry, URLResolver):
                yield from below(entry.url_patterns, whole)
            else:
                yield "".join(map(str, whole)), whole

    yield from below(get_resolver().url_patterns, [])


def addresses(victim: Victim) -> list[Address]:
    """Every URL, with the victim's. A parameter that nobody said how to fill in fails here."""
    found = []
    for route, parts in routes():
        model = re.match(r"admin/\w+/(\w+)/<", route)
        row = victim.rows.get(model[1]) if model else None
        row = next((victim.rows[name] for start, name in BELOW.items() if route.startswith(start)), row)
        pk = str(row.pk) if row is not None else "1"
        values = {
            "id": pk,
            "number": pk,
            "object_id": pk,
            "content_type_id": "1",
            "app_label": "tds_new",
            "code": victim.gateway.code,
            "url": f"tds_new/gateway/{victim.gateway.pk}/change",
            "key": "set-password",
            "uidb36": int_to_base36(victim.user.pk),
        }
        path = ""
        for part in parts:
            if isinstance(part, RoutePattern):
                path += re.sub(r"<(?:\w+:)?(\w+)>", lambda match, values=values: values[match[1]], str(part))  # type: ignore[misc]
            else:
                [(form, _names), *_others] = normalize(str(part))
                path += form % values
        found.append(Address(route, "/" + path))
    return found


def body_of(response: HttpResponseBase) -> str:
    content = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]  # of a streaming response, and of the other kind
    headers = "\n".join(f"{name}: {value}" for name, value in response.items())
    text: str = f"{headers}\n{content.decode(errors='replace')}"
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text).casefold()


def signed_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def ask(client: Client, method: str, path: str, data: dict[str, Any] | None = None) -> HttpResponseBase:
    if method in {"GET", "HEAD", "POST"}:
        answer: HttpResponseBase = getattr(client, method.lower())(path, data or {})
        return answer
    return client.generic(method, path)


def everything_of(victim: Victim) -> list[Any]:
    models = (
        Tenant,
        Site,
        Tag,
        Gateway,
        GatewayTag,
        Device,
        Metric,
        ApiToken,
        QuarantinedMessage,
        QuarantineCount,
        Membership,
        LedgerHour,
        LedgerDay,
        LedgerDropped,
        AuditEntry,
        Certificate,
        ClaimCode,
        GatewayPassword,
        Release,
        Rollout,
        Execution,
        RolloutEvent,
        LeftOut,
        RunningFirmware,
    )
    rows: list[Any] = [list(model._default_manager.order_by("pk").values()) for model in models]
    rows.append(list(User.objects.filter(pk=victim.user.pk).values()))
    return [*rows, Reading.objects.count()]


def requests_for(victim: Victim) -> Iterator[tuple[str, Address]]:
    for address in addresses(victim):
        for method in ("GET", "POST") if address.route.startswith(OPERATORS) else METHODS:
            yield method, address


def test_every_address_is_classified() -> None:
    known = MEMBERS | ACTIONS | PLATFORM | TOKENS | OWN_ACCOUNT | NOBODYS
    served = {route for route, _parts in routes() if not route.startswith(OPERATORS)}
    assert served - known == set(), "say in this file who may see what there"
    assert known - served == set(), "these addresses are gone"


def test_the_victims_own_people_see_what_the_sweep_looks_for(victim: Victim) -> None:
    seen = {
        address.route: body_of(ask(signed_in(victim.user), "GET", address.path))
        for address in addresses(victim)
        if address.route in MEMBERS
    }
    assert seen.keys() == MEMBERS
    assert all(MARK in text for text in seen.values())
    assert str(VALUE) in seen[f"{PREFIX}api/timeline/"]
    operator = User.objects.create_superuser("operador", password="correct horse")
    client = signed_in(operator)
    shown = "".join(
        body_of(ask(client, "GET", address.path)) for address in addresses(victim) if "admin/" in address.path
    )
    assert {marker for marker in victim.markers if marker not in shown} <= {
        *(victim.token.sha256, victim.claim_secret.casefold()),  # not even the operator sees them
        *(str(VALUE), str(int(VALUE))),  # /admin/ has no readings
    }


@pytest.mark.parametrize("who", ["anonymous", "stranger", "clerk"])
def test_no_address_shows_another_tenant(victim: Victim, stranger: User, clerk: User, who: str) -> None:
    user = {"anonymous": None, "stranger": stranger, "clerk": clerk}[who]
    before = everything_of(victim)
    client, asked = signed_in(user), 0
    for method, address in requests_for(victim):
        # A POST may sign out.
        response = ask(signed_in(user) if method == "POST" else client, method, address.path)
        # The way to the sign-in holds the address that was asked for.
        shown = body_of(response).replace(address.path.casefold(), "")
        leaked = {marker for marker in victim.markers if marker in shown}
        assert not leaked, f"{method} {address.path} shows {leaked}"
        assert response.status_code < 500, f"{method} {address.path}"
        if address.route.startswith(OPERATORS) and address.route not in {"admin/login/", "admin/logout/"}:
            assert response.status_code in {302, 403, 404}, f"{method} {address.path} answers {who}"
        if address.route in PLATFORM:
            assert response.status_code in {302, 401, 403, 405}, f"{method} {address.path} answers {who}"
        asked += 1
    assert asked > 200
    assert everything_of(victim) == before


@pytest.mark.parametrize("who", ["anonymous", "stranger", "clerk"])
def test_the_victims_codes_are_answered_as_codes_that_nobody_has(
    victim: Victim, stranger: User, clerk: User, who: str
) -> None:
    user = {"anonymous": None, "stranger": stranger, "clerk": clerk}[who]
    real = {
        "gateway": victim.gateway.code,
        "dispositivo": victim.device.code,
        "tipo": "tipo_vitima",
        "tenant": "vitima",
        "etiqueta": "tag-vitima",
    }
    nobodys = {
        "gateway": "GW-NADAAA-7",
        "dispositivo": "DEV-NADAAA-7",
        "tipo": "tipo_nadaaa",
        "tenant": "nadaaa",
        "etiqueta": "tag-nadaaa",
    }
    assert [len(value) for value in real.values()] == [len(value) for value in nobodys.values()]

    def answer(method: str, path: str, name: str, values: dict[str, str]) -> tuple[int, str]:
        response = ask(client, method, path, {name: values[name]})
        text = body_of(response).replace(values[name].casefold(), "…")
        # The moment and what is random differ between any two answers.
        text = re.sub(r"\d{4}-\d\d-\d\dt[0-9:.+-]+|1\.\d+\.\d+|expires: .*|\b[a-z0-9]{64}\b", "", text)
        return response.status_code, text

    client = signed_in(user)
    for address in (a for a in addresses(victim) if a.route in MEMBERS - {OF_A_GATEWAY}):  # which has its code itself
        for method in ("GET", "POST"):
            for name in real:
                mine, theirs = (answer(method, address.path, name, values) for values in (nobodys, real))
                assert mine == theirs, f"{method} {address.path} with {name}"


@pytest.mark.parametrize(
    "action", ["desativar", "ativar", "aposentar", "codigo", "verificar", "etiquetar", "desetiquetar"]
)
def test_another_tenants_gateway_is_the_404_of_one_that_does_not_exist(
    victim: Victim, stranger: User, action: str
) -> None:
    client, nobodys = signed_in(stranger), "GW-NADAAA-7"
    assert len(nobodys) == len(victim.gateway.code)
    before = everything_of(victim)
    data = {"acao": action, "id": victim.gateway.pk, "certeza": "1", "ultimo": victim.rows["claimcode"].pk}
    data["etiquetas"] = "tag-vitima" if action == "desetiquetar" else "nova"

    def answers(code: str) -> list[tuple[int, str]]:
        page = f"/{GATEWAYS}{code}/"
        responses = [
            client.get(page),
            client.get(page, {"id": victim.gateway.pk}),
            client.get(page, {"parte": "viva"}),
            client.post(f"{page}acao/", data),
        ]
        return [(r.status_code, re.sub(r"\b[a-z0-9]{32,64}\b|expires: .*", "", body_of(r))) for r in responses]

    theirs, none = answers(victim.gateway.code), answers(nobodys)
    assert {status for status, _text in theirs} == {404}
    assert [(s, text.replace(victim.gateway.code.casefold(), "…")) for s, text in theirs] == [
        (s, text.replace(nobodys.casefold(), "…")) for s, text in none
    ]
    assert everything_of(victim) == before


def test_another_tenants_token_says_nothing_of_a_gateway(victim: Victim, stranger: User) -> None:
    [own] = stranger.memberships.all()
    _token, secret = tokens.create(own.tenant)
    before = everything_of(victim)

    def answer(code: str) -> tuple[int, bytes]:
        payload = seeding.as_bytes(seeding.message(code, datetime.now(UTC), "DEV-VITIMA-7"))
        response = Client().post(
            f"/{PREFIX}api/leituras/", payload, "application/json", headers={"Authorization": f"Bearer {secret}"}
        )
        return response.status_code, response.content

    status, text = answer(victim.gateway.code)
    assert status == 404
    assert (status, text) == answer("GW-NADAAA-7")
    assert everything_of(victim)[:-1] == before[:-1] or everything_of(victim) == before
    assert Reading.objects.filter(device=victim.device).count() == 2


def test_metrics_name_no_tenant(victim: Victim) -> None:
    Heartbeat.objects.create(process="consumer", pid=1, started_at=timezone.now(), beat_at=timezone.now())
    text = body_of(Client().get("/metrics"))
    assert "tds_heartbeat_age_seconds" in text
    assert MARK not in text


def reaches_past_the_door(source: str) -> list[int]:
    """The lines of a view module that name a manager or a cursor: they would pass by `fleet/access.py`."""
    past = {"objects", "_default_manager", "_base_manager", "cursor", "raw"}
    return sorted(
        node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr in past
    )


def test_no_view_passes_by_the_tenant_filter() -> None:
    modules = sorted((ROOT / "src/tds/dashboard").rglob("*.py"))
    assert Path(ROOT / "src/tds/dashboard/chart_api.py") in modules
    offences = {
        f"{module.name}:{line}"
        for module in modules
        for line in reaches_past_the_door(module.read_text(encoding="utf-8"))
    }
    assert offences == set()


def test_the_look_at_the_views_finds_what_it_looks_for() -> None:
    source = "from tds.fleet.models import Gateway\n\ndef view(request):\n    return Gateway.objects.all()\n"
    assert reaches_past_the_door(source) == [4]
