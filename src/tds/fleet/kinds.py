"""How a metric is aggregated until somebody says otherwise. Pure."""

from typing import Final

from tds.fleet.models import MetricKind

# Units of meters that only count up. Power and level share none of them.
COUNTER_UNITS: Final = frozenset({"wh", "kwh", "mwh", "gwh", "varh", "kvarh", "mvarh", "vah", "kvah"})


def default_kind(tipo: str, unidade: str) -> MetricKind:
    """Energy is a meter's register, not something to average; all else is a mean."""
    if unidade.casefold() in COUNTER_UNITS or (tipo.casefold() == "energia" and not unidade):
        return MetricKind.COUNTER
    return MetricKind.MEAN
