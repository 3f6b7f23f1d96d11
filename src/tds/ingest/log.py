"""The consumer's log, in the words that operators search for (docs/wire-format.md)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from tds.ingest.messages import Message
from tds.ingest.writer import Arrival, Result

logger = logging.getLogger("tds.ingest")

SUMMARY_EVERY_S: Final = 5.0
MESSAGES_A_SECOND: Final = 50  # said one by one; more than these are in the summary line only
MAX_PAYLOAD_SHOWN_BYTES: Final = 1_000


@dataclass(slots=True)
class Totals:
    messages: int = 0
    quarantined: int = 0
    stored: int = 0
    duplicate: int = 0
    spooled: int = 0


class ConsumerLog:
    """`each_message` says every message while there are few; a summary line follows every few seconds of work."""

    def __init__(self, broker: str, *, each_message: bool, unlimited: bool = False) -> None:
        self._broker = broker
        self._each_message = each_message
        self._budget_a_second = float("inf") if unlimited else MESSAGES_A_SECOND
        self._totals = Totals()
        self._since = monotonic()
        self._second = 0
        self._said = 0
        self._refusal_said_at = float("-inf")

    def connected(self, *, session_present: bool) -> None:
        logger.info("Conectado ao MQTT broker em %s", self._broker)
        if not session_present:
            logger.warning(
                "O broker não conhecia a sessão: o que chegou a ele antes desta assinatura não foi guardado."
            )

    def expires(self, after_s: int) -> None:
        logger.warning(
            "O broker encerra a sessão após %d s sem este consumidor, e com ela o que já confirmou aos gateways: "
            "permita sessões que não expiram.",
            after_s,
        )

    def subscribed(self, pattern: str) -> None:
        logger.info("Subscrito em: %s", pattern)

    def disconnected(self, reason: str) -> None:
        logger.warning("Desconectado do MQTT broker em %s: %s", self._broker, reason)

    def drained(self, messages: int) -> None:
        logger.info("Sessão esvaziada e encerrada no MQTT broker em %s: %d mensagens", self._broker, messages)

    def database_away(self, reason: str, wait_s: float, *, spool: bool) -> None:
        what = "as mensagens ficam no spool" if spool else "nada é confirmado"
        logger.error("Banco de dados indisponível, %s; nova tentativa em %.1f s: %s", what, wait_s, reason)

    def spooled(self, messages: int) -> None:
        self._totals.spooled += messages

    def spool_refuses(self, reason: str) -> None:
        if monotonic() - self._refusal_said_at >= SUMMARY_EVERY_S:
            self._refusal_said_at = monotonic()
            logger.error("O spool não aceita mais nada, e nada é confirmado; as mensagens ficam no broker: %s", reason)

    def no_room(self, sentence: str) -> None:
        if monotonic() - self._refusal_said_at >= SUMMARY_EVERY_S:
            self._refusal_said_at = monotonic()
            logger.error("Disco quase cheio, nada é confirmado; as mensagens ficam no broker: %s", sentence)

    def spool_unreadable(self, reason: str) -> None:
        logger.error("O spool não pode ser lido agora, nova tentativa em breve; verifique o disco: %s", reason)

    def spool_damaged(self, lost: int) -> None:
        logger.error("O disco perdeu %d mensagens confirmadas que estavam no spool; verifique o disco.", lost)

    def spool_empty(self) -> None:
        logger.info("O spool foi todo gravado no banco de dados.")

    def batch(self, arrivals: Sequence[Arrival], result: Result) -> None:
        self._totals.messages += len(arrivals)
        self._totals.quarantined += sum(not isinstance(verdict, Message) for verdict in result.verdicts)
        self._totals.stored += result.stored
        self._totals.duplicate += result.duplicate
        if self._each_message and len(arrivals) <= self._budget_left():
            self._said += len(arrivals)
            for arrival, verdict in zip(arrivals, result.verdicts, strict=True):
                _say(arrival, verdict, result)

    def _budget_left(self) -> float:
        second = int(monotonic())
        if second != self._second:
            self._second, self._said = second, 0
        return self._budget_a_second - self._said

    def summary(self) -> None:
        """Say what was done in the last seconds, if anything."""
        elapsed_s = monotonic() - self._since
        if elapsed_s < SUMMARY_EVERY_S:
            return
        totals = self._totals
        if totals.spooled:
            logger.info("Resumo: %d mensagens guardadas no spool em %.1f s", totals.spooled, elapsed_s)
        if totals.messages:
            logger.info(
                "Resumo: %d mensagens em %.1f s (%.0f/s), %d em quarentena; %d leituras salvas, %d duplicadas",
                totals.messages,
                elapsed_s,
                totals.messages / elapsed_s,
                totals.quarantined,
                totals.stored,
                totals.duplicate,
            )
        self._totals = Totals()
        self._since = monotonic()


def _say(arrival: Arrival, verdict: object, result: Result) -> None:
    logger.info("Mensagem recebida em %s", _harmless(arrival.topic or ""))
    logger.info("Payload: %s", _harmless(arrival.payload[:MAX_PAYLOAD_SHOWN_BYTES].decode(errors="replace")))
    if isinstance(verdict, Message):
        copy = (verdict.gateway_code, verdict.device_code) in result.repeated
        for reading in verdict.readings:
            words = "Leitura repetida" if copy else "Leitura salva"
            what, unit = _harmless(reading.tipo), _harmless(reading.unidade)
            logger.info("%s: %s=%s%s", words, what, float(reading.valor), unit)
    else:
        logger.warning("Mensagem em quarentena: %s: %s", getattr(verdict, "reason", ""), getattr(verdict, "detail", ""))


def _harmless(text: str) -> str:
    """A device's text as it is; escaped when it could forge a line of this log or move the reader's cursor."""
    return text if text.isprintable() else ascii(text)
