"""Refused messages, and the people who look at them on the page and by the API."""

import json
import re
from html import unescape
from typing import Any, Final

from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, User
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantine import Refused, keep
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Writer

PAGE: Final = "/tds_new/telemetria/quarentena/"
ACT: Final = f"{PAGE}acao/"
EXPORT: Final = f"{PAGE}exportar/"
API: Final = "/tds_new/telemetria/api/quarentena/"


def signed_in(user: User, language: str = "en", **client: Any) -> Client:
    made = Client(headers={"Accept-Language": language}, **client)
    made.force_login(user)
    return made


def refuse(gateway: Gateway | None, *payloads: bytes, reason: Reason = Reason.NOT_JSON, code: str = "") -> list[int]:
    """Their ids."""
    code = gateway.code if gateway else code
    of = (gateway.pk if gateway else None, gateway.tenant_id if gateway else None, code, f"telemetry/{code}/D01/data")
    keep(
        wiring.database_connection(),
        [Refused(reason, "What is wrong.", *of, payload) for payload in payloads],
        wiring.quarantine_bounds(),
        now=timezone.now(),
    )
    return sorted(QuarantinedMessage.objects.order_by("-pk").values_list("pk", flat=True)[: len(payloads)])


def arrive(gateway_code: str, *payloads: bytes) -> None:
    """As the consumer writes them."""
    connection, now = wiring.database_connection(), timezone.now()
    store = wiring.reading_store()
    store.prepare(connection, now=now)
    writer = Writer(connection, store, Directory(), wiring.quarantine_bounds(), wiring.retention())
    writer.write([Arrival(f"telemetry/{gateway_code}/D01/data", payload) for payload in payloads], now=now)


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}{path}/", json.dumps(body), content_type="application/json")


def text_of(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def form(page: str, action: str) -> dict[str, str]:
    """What the page's button of an action sends: all of the choice, and not one message."""
    [found] = [
        fields
        for form in re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
        if f'name="acao" value="{action}"' in form
        and "id" not in (fields := dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)))
    ]
    return {name: unescape(value) for name, value in found.items()} | {"acao": action}


def level_and_notice(page: str) -> tuple[str, str]:
    [(level, said)] = re.findall(r'<li class="notice" data-level="(\w+)">([^<]*)</li>', page)
    return level, unescape(said)
