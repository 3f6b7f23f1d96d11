"""The JSON of the charts and cards (docs/http-api.md)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from ninja import Schema

from tds.readings.charts import Line, Point, Window


class Dataset(Schema):
    label: str
    gateway: str
    dispositivo: str
    tipo: str
    unidade: str
    agregacao: str
    data: list[float | None]
    min: list[float | None]
    max: list[float | None]


class Chart(Schema):
    """`desde` makes it a tail: replace all labels from the first one on, drop those before `inicio`."""

    labels: list[str]
    datasets: list[Dataset]
    unidade: str | None
    inicio: str
    fuso: str
    gerado_em: datetime
    cursor: str


class CardReading(Schema):
    tipo: str
    unidade: str
    agregacao: str
    valor: float
    em: datetime
    ontem: float | None
    dia: float | None
    dia_anterior: float | None


class Card(Schema):
    gateway: str
    dispositivo: str
    nome: str
    visto_em: datetime | None
    leituras: list[CardReading]


class Cards(Schema):
    fuso: str
    gerado_em: datetime
    cartoes: list[Card]


class Outcome(Schema):
    armazenadas: int
    duplicadas: int


class Refused(Schema):
    erro: str
    detalhe: str


def chart(  # noqa: PLR0913  # the parts of one answer
    labels: Sequence[datetime | date],
    lines: Sequence[Line],
    points: Sequence[Sequence[Point]],
    whole: Window,
    *,
    now: datetime,
    cursor: str,
    by_day: bool,
) -> dict[str, Any]:
    def shown(label: datetime | date) -> str:
        return label.astimezone(whole.zone).isoformat() if isinstance(label, datetime) else label.isoformat()

    start = whole.start.astimezone(whole.zone)
    units = {line.unidade for line in lines}
    return {
        "labels": [shown(label) for label in labels],
        "datasets": [
            {
                "label": line.label,
                "gateway": line.gateway,
                "dispositivo": line.device,
                "tipo": line.tipo,
                "unidade": line.unidade,
                "agregacao": line.kind.value,
                "data": [point.value for point in of_line],
                "min": [point.minimum for point in of_line],
                "max": [point.maximum for point in of_line],
            }
            for line, of_line in zip(lines, points, strict=True)
        ],
        "unidade": units.pop() if len(units) == 1 else None,
        "inicio": shown(start.date() if by_day else start),
        "fuso": whole.zone.key,
        "gerado_em": now.astimezone(whole.zone),
        "cursor": cursor,
    }
