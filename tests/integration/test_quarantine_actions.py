"""Replay, purge and export by the page and the API: what was asked for and seen, bounded, and truly told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.dashboard import quarantine, quarantine_desk
from tds.dashboard.quarantine_export import Export
from tds.fleet.models import Gateway, Role, Tenant
from tds.ingest import quarantine_blocks
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantine import purge
from tds.ingest.quarantined import everybodys
from tds.ingest.reasons import Reason
from tds.ingest.replay import Outcome, replay
from tds.ingest.room import Room
from tds.readings.models import Reading
from tests import seeding
from tests.refusing import ACT, API, EXPORT, PAGE, arrive, form, level_and_notice, post, refuse, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_leases() -> None:
    cache.clear()


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def gateway(tenant: Tenant) -> Gateway:
    return seeding.gateway(tenant, "GW-1")


@pytest.fixture
def admin(tenant: Tenant) -> Client:
    return signed_in(seeding.person("ana", tenant, role=Role.ADMIN))


def good(n: int) -> bytes:
    return seeding.as_bytes(seeding.message("GW-1", timezone.now() - timedelta(minutes=n)))


def two_that_stay_refused_and_two_that_do_not(gateway: Gateway) -> None:
    Gateway.objects.update(status="disabled")
    for payloads in ((b"junk", b"more junk"), (good(1), good(2))):
        arrive(gateway.code, *payloads)
    Gateway.objects.update(status="active")


def left() -> int:
    return QuarantinedMessage.objects.count()


def test_the_api_replays_past_what_stays_refused(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_desk, "MAX_AT_ONCE", 2)
    two_that_stay_refused_and_two_that_do_not(gateway)
    first = post(admin, "reprocessar", tudo=True).json()
    assert (first["aceitas"], first["recusadas"], first["restantes"]) == (0, {"not_json": 2}, 2)
    second = post(admin, "reprocessar", tudo=True, apos=first["proxima"]).json()
    assert (second["aceitas"], second["restantes"], second["proxima"]) == (2, 0, None)
    assert Reading.objects.count() == 2


def test_the_page_replays_past_what_stays_refused(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_desk, "MAX_AT_ONCE", 2)
    two_that_stay_refused_and_two_that_do_not(gateway)
    page = text_of(admin.post(ACT, form(text_of(admin.get(PAGE)), "reprocessar"), follow=True))
    level, said = level_and_notice(page)
    assert level == "warning"
    assert "Messages accepted now: 0 of 2" in said
    assert "2 are left; do it again for the next ones." in said
    assert "Replay 2 more messages" in page
    page = text_of(admin.post(ACT, form(page, "reprocessar"), follow=True))
    level, said = level_and_notice(page)
    assert (level, "Messages accepted now: 2 of 2" in said, "left" in said) == ("success", True, False)
    # And from the beginning again: the cause of the first ones may have been mended by now.
    assert "Replay 2 messages" in page


def test_a_replay_stops_when_its_time_is_over_and_says_after_which(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_desk, "REPLAY_LIMIT_S", 0.0)
    monkeypatch.setattr(quarantine_desk, "BATCH_MESSAGES", 2)
    ids = refuse(gateway, b"1", b"2", b"3", b"4", b"5")
    answers: list[Any] = []
    after: int | None = 0
    while after is not None:
        answers.append(post(admin, "reprocessar", tudo=True, apos=after).json())
        after = answers[-1]["proxima"]
    assert [(answer["escolhidas"], answer["restantes"]) for answer in answers] == [(2, 3), (2, 1), (1, 0)]
    assert [answer["proxima"] for answer in answers] == [ids[1], ids[3], None]


def test_what_the_platform_can_not_store_now_is_tried_again_from_there(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_desk, "BATCH_MESSAGES", 1)
    two_that_stay_refused_and_two_that_do_not(gateway)
    room = Room((), 1)
    monkeypatch.setattr(wiring, "room", lambda: room)
    # The API asks before it begins, and the replay before each batch.
    shortages = iter(["", "", "no room"] + [""] * 5)
    monkeypatch.setattr(Room, "shortage", lambda _room: next(shortages))
    first = post(admin, "reprocessar", tudo=True).json()
    assert (first["escolhidas"], first["restantes"], first["proxima"]) == (
        1,
        3,
        min(QuarantinedMessage.objects.values_list("pk", flat=True)),
    )
    assert first["obstaculo"] == "The platform could not store the rest now; try again in a few minutes."
    second = post(admin, "reprocessar", tudo=True, apos=first["proxima"]).json()
    assert (second["aceitas"], second["recusadas"], second["obstaculo"]) == (2, {"not_json": 1}, None)
    shortages = iter(["no room"])
    _level, said = level_and_notice(
        text_of(admin.post(ACT, form(text_of(admin.get(PAGE)), "reprocessar"), follow=True))
    )
    assert "0 of 0" in said
    assert "could not store the rest now; try again in a few minutes. 2 are left" in said


def test_nothing_to_replay_is_told_as_such(admin: Client, gateway: Gateway) -> None:
    [message] = refuse(gateway, b"junk")
    filled_in = form(text_of(admin.get(PAGE)), "reprocessar")
    purge(wiring.database_connection(), [message])
    assert level_and_notice(text_of(admin.post(ACT, filled_in, follow=True))) == (
        "warning",
        "Nothing of this choice waits to be replayed.",
    )


@pytest.mark.parametrize("action", ["reprocessar", "eliminar"])
def test_a_form_drawn_for_another_company_is_refused(tenant: Tenant, gateway: Gateway, action: str) -> None:
    other = seeding.tenant("other")
    refuse(gateway, b"seen")
    refuse(seeding.gateway(other, "GW-OTHER"), b"never looked at")
    client = signed_in(seeding.person("bia", tenant, other, role=Role.ADMIN))
    filled_in = form(text_of(client.get(PAGE)), action) | {"certeza": "1", "ate": "9" * 18}
    client.post("/tds_new/telemetria/cliente/", {"tenant": "other"})
    page = text_of(client.post(ACT, filled_in, follow=True))
    level, said = level_and_notice(page)
    assert level == "error"
    assert said.startswith("Nothing was done: this was asked for another company")
    assert "never looked at" in page
    assert left() == 2
    for without in ("acme", ""):
        client.post(ACT, filled_in | {"cliente": without})
        assert left() == 2


@pytest.mark.parametrize("action", ["reprocessar", "eliminar"])
def test_the_api_refuses_what_is_asked_for_another_company(admin: Client, gateway: Gateway, action: str) -> None:
    refuse(gateway, b"junk")
    answer = post(admin, action, tudo=True, cliente="other")
    assert (answer.status_code, answer.json()["erro"]) == (409, "outro_cliente")
    assert left() == 1
    assert admin.get(API).json()["cliente"] == "acme"
    assert post(admin, action, tudo=True, cliente="acme").status_code == 200


def test_what_came_after_the_page_was_drawn_is_neither_replayed_nor_thrown_away(
    admin: Client, gateway: Gateway
) -> None:
    ids = refuse(gateway, b"seen")
    page = text_of(admin.get(PAGE))
    refuse(gateway, b"came later")
    _level, said = level_and_notice(text_of(admin.post(ACT, form(page, "reprocessar"), follow=True)))
    assert "0 of 1" in said
    admin.post(ACT, form(page, "eliminar") | {"certeza": "1"})
    assert [bytes(kept.payload) for kept in QuarantinedMessage.objects.all()] == [b"came later"]
    assert post(admin, "eliminar", tudo=True, ate=ids[0]).json() == {"eliminadas": 0, "restantes": 0}


WRONG = [
    ({"id": "abc"}, "“id” is not the number of a message."),
    ({"id": "-1"}, "“id” is not the number of a message."),
    ({"id": "9" * 30}, "“id” is not the number of a message."),
    ({"ate": "x"}, "“ate” is not the number of a message."),
    ({"ate": ""}, "The form does not say up to which message"),
    ({"apos": "x"}, "“apos” is not the number of a message."),
    ({"motivo": "nosuch"}, "There is no such reason"),
    ({"gateway": "\x00"}, "No gateway has such a code"),
    ({"gateway": "x" * 201}, "No gateway has such a code"),
    ({"gateway": " "}, "No gateway has such a code"),
    ({"de": "todos"}, "“de” says nothing that this page knows."),
    ({"acao": "tudo"}, "The form does not say what to do"),
    ({"acao": ""}, "The form does not say what to do"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
@pytest.mark.parametrize("action", ["reprocessar", "eliminar"])
def test_a_form_that_is_not_understood_never_means_all(
    admin: Client, gateway: Gateway, action: str, wrong: dict[str, str], sentence: str
) -> None:
    refuse(gateway, b"1", b"2", b"3")
    answer = admin.post(ACT, form(text_of(admin.get(PAGE)), action) | {"certeza": "1"} | wrong)
    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert left() == 3


@pytest.mark.parametrize("address", [PAGE, EXPORT])
@pytest.mark.parametrize("wrong", [{"motivo": "nosuch"}, {"gateway": "\x00"}, {"de": "todos"}, {"id": "abc"}])
def test_a_link_that_is_not_understood_shows_nothing(
    admin: Client, gateway: Gateway, address: str, wrong: dict[str, str]
) -> None:
    refuse(gateway, b"junk")
    answer = admin.get(address, wrong)
    assert answer.status_code == 400
    assert "junk" not in text_of(answer)
    assert "Sign out" in text_of(answer)  # the frame is that of somebody who is signed in


@pytest.mark.parametrize("action", ["reprocessar", "eliminar"])
@pytest.mark.parametrize(
    "body", [{"motivo": "nosuch"}, {"ids": ["abc"]}, {"gatway": "GW-2"}, {"ids": [0]}, {"gateway": "\x00"}, {"ate": 0}]
)
def test_a_body_with_a_word_that_is_not_understood_never_means_all(
    admin: Client, gateway: Gateway, action: str, body: dict[str, Any]
) -> None:
    refuse(gateway, b"junk")
    answer = post(admin, action, **({"tudo": True} | body))
    assert (answer.status_code, answer.json()["erro"]) == (400, "parametro_invalido")
    assert left() == 1


def deadlock(*_words: Any, **_more: Any) -> Any:
    raise psycopg.errors.DeadlockDetected("deadlock detected")


@pytest.mark.parametrize("action", ["reprocessar", "eliminar"])
def test_a_deadlock_is_no_fault_of_a_page_and_not_told_as_nothing_done(
    tenant: Tenant, gateway: Gateway, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(gateway, b"junk")
    user = seeding.person("bia", tenant, role=Role.ADMIN)
    client = signed_in(user, raise_request_exception=False)
    filled_in = form(text_of(client.get(PAGE)), action) | {"certeza": "1"}
    monkeypatch.setattr(quarantine_desk, "replay", deadlock)
    monkeypatch.setattr("tds.ingest.quarantine.purge", deadlock)
    for answer in (client.post(ACT, filled_in), post(client, action, tudo=True)):
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert "what was done stays" in text_of(answer)
        assert "othing was done" not in text_of(answer)
    portuguese = text_of(signed_in(user, "pt-br", raise_request_exception=False).post(ACT, filled_in))
    assert "O banco de dados falhou antes de tudo ser feito" in portuguese


def test_a_replay_that_fails_in_its_second_batch_does_not_say_that_nothing_was_done(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_desk, "BATCH_MESSAGES", 2)
    two_that_stay_refused_and_two_that_do_not(gateway)
    QuarantinedMessage.objects.filter(reason=Reason.NOT_JSON).delete()
    refuse(gateway, b"junk")
    batches = 0

    def once(*words: Any, **more: Any) -> Iterator[Outcome]:
        nonlocal batches
        batches += 1
        return replay(*words, **more) if batches == 1 else deadlock()

    monkeypatch.setattr(quarantine_desk, "replay", once)
    answer = post(admin, "reprocessar", tudo=True)
    assert (answer.status_code, answer.json()["erro"]) == (503, "banco_indisponivel")
    assert "what was done stays" in answer.json()["detalhe"]
    assert Reading.objects.count() == 2


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("away"), psycopg.InterfaceError("the connection is closed")]
)
def test_a_database_that_is_away_is_told_the_same_whoever_noticed(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def away(*_words: Any, **_more: Any) -> Any:
        raise error

    monkeypatch.setattr(quarantine, "desk", away)
    monkeypatch.setattr("tds.dashboard.quarantine_api.desk", away)
    client = signed_in(seeding.person("bia", tenant), raise_request_exception=False)
    for answer in (client.get(PAGE), client.get(API)):
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert "othing was done" in text_of(answer)


def test_an_export_reads_blocks_of_bounded_bytes_and_leaves_nothing_open(
    admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_blocks, "BLOCK_BYTES", 1_000)
    payloads = [bytes([65 + n]) * size for n, size in enumerate((400, 400, 400, 5_000, 10, 10))]
    ids = refuse(gateway, *payloads)
    blocks = list(quarantine_blocks.blocks(everybodys()))
    assert [[len(message.payload) for message in block] for block in blocks] == [[400, 400], [400], [5_000], [10, 10]]
    answer = admin.get(EXPORT)
    lines = iter(answer)
    first = next(lines)
    # Held open, a cursor has the database copy all of the choice to its disk.
    assert wiring.database_connection().execute("SELECT name FROM pg_cursors WHERE name <> ''").fetchall() == []
    documents = [json.loads(line) for line in (first, *lines)]
    assert [(line["id"], line["payload"].encode()) for line in documents] == list(zip(ids, payloads, strict=True))


def test_an_export_is_bounded_in_messages(admin: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tds.dashboard.quarantine_export.MAX_EXPORTED", 3)
    monkeypatch.setattr(quarantine_blocks, "BLOCK_MESSAGES", 2)
    refuse(gateway, *(b"%d" % n for n in range(5)))
    assert [json.loads(line)["payload"] for line in admin.get(EXPORT)] == ["0", "1", "2"]


def test_a_person_runs_one_export_at_a_time(admin: Client, tenant: Tenant, gateway: Gateway) -> None:
    refuse(gateway, b"junk")
    under_way = admin.get(EXPORT)
    second = admin.get(EXPORT)
    assert second.status_code == 429
    assert "An export of yours is under way" in text_of(second)
    assert b"junk" in b"".join(signed_in(seeding.person("bia", tenant)).get(EXPORT))
    assert b"junk" in b"".join(under_way)
    assert b"junk" in b"".join(admin.get(EXPORT))


def test_an_export_whose_reader_left_before_the_first_line_is_over() -> None:
    begun = Export.begin("7", everybodys())
    assert begun is not None
    assert Export.begin("7", everybodys()) is None
    begun.close()
    assert Export.begin("7", everybodys()) is not None
