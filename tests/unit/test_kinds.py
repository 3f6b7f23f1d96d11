import pytest

from tds.fleet.kinds import default_kind
from tds.fleet.models import MetricKind


@pytest.mark.parametrize(
    ("tipo", "unidade"),
    [
        ("energia", "kWh"),
        ("consumo", "Wh"),
        ("qualquer", "KWH"),
        ("reativa", "kvarh"),
        ("energia", ""),
        ("Energia", ""),
    ],
)
def test_energy_is_a_counter(tipo: str, unidade: str) -> None:
    assert default_kind(tipo, unidade) is MetricKind.COUNTER


@pytest.mark.parametrize(
    ("tipo", "unidade"),
    [("temperatura", "°C"), ("potencia", "kW"), ("energia", "J/s"), ("umidade", "%"), ("", ""), ("bateria", "Ah")],
)
def test_all_else_is_a_mean(tipo: str, unidade: str) -> None:
    assert default_kind(tipo, unidade) is MetricKind.MEAN
