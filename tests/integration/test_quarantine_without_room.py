"""A replay while the disk is nearly full: as for what gateways send, nothing is stored, and a sentence says why."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.fleet.directory import Directory
from tds.fleet.models import Gateway, Role
from tds.ingest.models import QuarantinedMessage
from tds.ingest.room import Room
from tds.ingest.topics import telemetry_topic
from tds.ingest.writer import Arrival, Writer
from tds.readings.models import Reading
from tests import seeding

pytestmark = pytest.mark.django_db

PAGE: Final = "/tds_new/telemetria/quarentena/"
REPLAY: Final = "/tds_new/telemetria/api/quarentena/reprocessar/"


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:
    """With a message that could be stored by now, and no room for it."""
    tenant, now = seeding.tenant("acme"), timezone.now()
    seeding.gateway(tenant, "GW-1", status="disabled")
    connection, store = wiring.database_connection(), wiring.reading_store()
    store.prepare(connection, now=now)
    writer = Writer(connection, store, Directory(), wiring.quarantine_bounds(), wiring.retention())
    payload = seeding.as_bytes(seeding.message("GW-1", now - timedelta(minutes=1)))
    writer.write([Arrival(telemetry_topic("GW-1", "D01"), payload)], now=now)
    Gateway.objects.update(status="active")
    monkeypatch.setattr(wiring, "room", lambda: Room([tmp_path], 2**60))
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(seeding.person("ana", tenant, role=Role.OPERATOR))
    return client


def nothing_was_stored() -> bool:
    return not Reading.objects.exists() and QuarantinedMessage.objects.get().replayed_at is None


def test_the_api_answers_503_and_keeps_the_message(operator: Client) -> None:
    answer = operator.post(REPLAY, json.dumps({"tudo": True}), content_type="application/json")
    assert (answer.status_code, answer.json()["erro"]) == (503, "disco_cheio")
    assert nothing_was_stored()


def test_the_page_says_that_the_rest_could_not_be_stored_and_keeps_the_message(operator: Client) -> None:
    form = {"acao": "reprocessar", "cliente": "acme", "ate": str(QuarantinedMessage.objects.get().pk)}
    page = operator.post(f"{PAGE}acao/", form, follow=True).content.decode()
    assert "The platform could not store the rest now; try again in a few minutes." in page
    assert nothing_was_stored()
