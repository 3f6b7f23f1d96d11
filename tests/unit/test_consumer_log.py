import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tds.ingest import log as log_module
from tds.ingest.assign import Verdict
from tds.ingest.log import MAX_PAYLOAD_SHOWN_BYTES, MESSAGES_A_SECOND, SUMMARY_EVERY_S, ConsumerLog
from tds.ingest.messages import Message, Reading, Refusal
from tds.ingest.reasons import Reason
from tds.ingest.writer import Arrival, Result

TOPIC = "telemetry/GW-001/D01/data"
PAYLOAD = '{"gateway_code":"GW-001","device_code":"D01","unidade":"°C"}'.encode()
NOW = datetime(2026, 2, 18, tzinfo=UTC)
Lines = Callable[[], list[str]]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_module, "monotonic", clock)
    return clock


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """What was said, in the form of settings.LOGGING."""
    caplog.set_level(logging.INFO, logger="tds.ingest")
    return lambda: [f"[{record.levelname}] {record.getMessage()}" for record in caplog.records]


def accepted(*readings: Reading) -> Message:
    sent = list(readings) or [Reading(tipo="temperatura", unidade="°C", valor=23.5)]
    return Message("GW-001", "D01", NOW, sent, tuple((reading.tipo, reading.unidade) for reading in sent))


def result(*verdicts: Verdict, repeated: bool = False) -> Result:
    copies = frozenset({("GW-001", "D01")}) if repeated else frozenset[tuple[str, str]]()
    readings = sum(isinstance(verdict, Message) for verdict in verdicts)
    return Result(list(verdicts), 0 if repeated else readings, readings if repeated else 0, copies)


def one(log: ConsumerLog, verdict: Verdict | None = None, *, topic: str = TOPIC, payload: bytes = PAYLOAD) -> None:
    log.batch([Arrival(topic, payload)], result(verdict or accepted()))


def many(log: ConsumerLog, count: int) -> None:
    log.batch([Arrival(TOPIC, PAYLOAD)] * count, result(*[accepted()] * count))


def test_the_lines_are_those_that_operators_search_for(lines: Lines) -> None:
    log = ConsumerLog("localhost:1883", each_message=True)

    log.connected(session_present=True)
    log.subscribed("telemetry/+/+/data")
    one(log)

    assert lines() == [
        "[INFO] Conectado ao MQTT broker em localhost:1883",
        "[INFO] Subscrito em: telemetry/+/+/data",
        "[INFO] Mensagem recebida em telemetry/GW-001/D01/data",
        '[INFO] Payload: {"gateway_code":"GW-001","device_code":"D01","unidade":"°C"}',
        "[INFO] Leitura salva: temperatura=23.5°C",
    ]


def test_a_value_is_written_as_python_prints_a_float(lines: Lines) -> None:
    readings = [Reading(tipo="a", valor=21), Reading(tipo="b", valor=1e-7), Reading(tipo="c", unidade="%", valor=-0.5)]

    one(ConsumerLog("b", each_message=True), accepted(*readings))

    assert lines()[2:] == [
        "[INFO] Leitura salva: a=21.0",
        "[INFO] Leitura salva: b=1e-07",
        "[INFO] Leitura salva: c=-0.5%",
    ]


def test_a_copy_is_not_said_to_be_saved(lines: Lines) -> None:
    ConsumerLog("b", each_message=True).batch([Arrival(TOPIC, PAYLOAD)], result(accepted(), repeated=True))

    assert lines()[-1] == "[INFO] Leitura repetida: temperatura=23.5°C"


def test_a_refused_message_is_said_with_its_reason(lines: Lines) -> None:
    one(ConsumerLog("b", each_message=True), Refusal(Reason.NOT_JSON, "It is no JSON.", "GW-001"), payload=b"junk")

    assert lines() == [
        "[INFO] Mensagem recebida em telemetry/GW-001/D01/data",
        "[INFO] Payload: junk",
        "[WARNING] Mensagem em quarentena: not_json: It is no JSON.",
    ]


@pytest.mark.parametrize(
    "separator", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1b[2K", "\x85", "\u2028", "\u2029", "\x00"]
)
def test_no_text_of_a_device_can_forge_a_line(lines: Lines, separator: str) -> None:
    forged = f"x{separator}[INFO] Leitura salva: fake=1.0"
    log = ConsumerLog("b", each_message=True)

    one(log, accepted(Reading(tipo=forged, unidade=separator, valor=1)), topic=forged, payload=forged.encode())

    assert len(lines()) == 3
    for line in lines():
        assert len(line.splitlines()) == 1
        assert line.isprintable()


def test_a_payload_that_is_no_utf_8_is_shown_all_the_same(lines: Lines) -> None:
    one(ConsumerLog("b", each_message=True), payload=b"\xff\xfe ok")

    assert lines()[1] == "[INFO] Payload: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} ok"


def test_of_a_long_payload_only_the_start_is_shown(lines: Lines) -> None:
    one(ConsumerLog("b", each_message=True), payload=b"x" * 262_144)

    assert lines()[1] == "[INFO] Payload: " + "x" * MAX_PAYLOAD_SHOWN_BYTES


def test_single_messages_are_said_while_there_are_few_and_again_in_the_next_second(lines: Lines, clock: Clock) -> None:
    log = ConsumerLog("b", each_message=True)
    for _ in range(MESSAGES_A_SECOND + 10):
        one(log)
    assert len(lines()) == 3 * MESSAGES_A_SECOND

    clock.now += 1
    one(log)

    assert len(lines()) == 3 * (MESSAGES_A_SECOND + 1)


def test_a_batch_beyond_the_budget_is_in_the_summary_alone(lines: Lines, clock: Clock) -> None:
    log = ConsumerLog("b", each_message=True)
    many(log, MESSAGES_A_SECOND + 1)
    assert lines() == []

    clock.now += SUMMARY_EVERY_S
    log.summary()

    assert lines() == ["[INFO] Resumo: 51 mensagens em 5.0 s (10/s), 0 em quarentena; 51 leituras salvas, 0 duplicadas"]


def test_at_verbosity_2_there_is_no_budget(lines: Lines) -> None:
    many(ConsumerLog("b", each_message=True, unlimited=True), 500)

    assert len(lines()) == 1_500


def test_in_production_single_messages_are_not_said(lines: Lines) -> None:
    one(ConsumerLog("b", each_message=False))

    assert lines() == []


def test_the_summary_comes_every_few_seconds_and_counts_from_the_last(lines: Lines, clock: Clock) -> None:
    log = ConsumerLog("b", each_message=False)
    many(log, 10)
    log.summary()
    assert lines() == []
    clock.now += SUMMARY_EVERY_S
    log.summary()
    log.batch([Arrival(TOPIC, b"junk")], result(Refusal(Reason.NOT_JSON, "", None)))
    log.batch([Arrival(TOPIC, PAYLOAD)], result(accepted(), repeated=True))
    clock.now += SUMMARY_EVERY_S
    log.summary()

    assert lines()[1].startswith("[INFO] Resumo: 2 mensagens")
    assert lines()[1].endswith("1 em quarentena; 0 leituras salvas, 1 duplicadas")


def test_without_work_there_is_no_summary(lines: Lines, clock: Clock) -> None:
    log = ConsumerLog("b", each_message=True)
    clock.now += 60
    log.summary()

    assert lines() == []


def test_a_broker_that_did_not_know_the_session_is_a_warning(lines: Lines) -> None:
    ConsumerLog("b", each_message=True).connected(session_present=False)

    assert lines()[1].startswith("[WARNING] O broker não conhecia a sessão")
