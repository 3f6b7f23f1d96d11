"""A home that runs in production is not started as a desk by a lost environment."""

from pathlib import Path

import pytest

from tds.environment import Environment, read
from tds.local import kept_mode
from tds.local.refusal import CannotStartError


def desk(home: Path) -> Environment:
    return read({"TDS_HOME": str(home)})


def production(home: Path) -> Environment:
    return read({"TDS_HOME": str(home), "TDS_MODE": "production", "TDS_SECRET_KEY": "s" * 50})


def test_a_desk_may_become_production_and_not_the_other_way_round_by_itself(tmp_path: Path) -> None:
    kept_mode.keep(desk(tmp_path))
    for _ in range(2):
        kept_mode.keep(production(tmp_path))
    with pytest.raises(CannotStartError, match="set what it is started with, TDS_MODE=production first"):
        kept_mode.keep(desk(tmp_path))
    kept_mode.keep(production(tmp_path))


def test_by_a_persons_hand_it_becomes_a_desk(tmp_path: Path) -> None:
    kept_mode.keep(production(tmp_path))
    (tmp_path / kept_mode.MODE).unlink()
    kept_mode.keep(desk(tmp_path))
