"""What a broker's kill -9 can lose is less than what gateways send again: both sides' own numbers."""

from typing import Final

from tds.local.broker_config import AUTOSAVE_S
from tds.simulator.outbox import RESEND_WINDOW_S

MARGIN_S: Final = 30  # for a save that takes long, and a gateway slow to notice that its broker is gone


def test_the_resend_window_covers_two_autosaves_and_a_margin() -> None:
    assert RESEND_WINDOW_S >= 2 * AUTOSAVE_S + MARGIN_S
