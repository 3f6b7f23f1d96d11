"""Whether to store a batch as if none of its rows were there yet. Pure.

PostgreSQL looks each row up before it inserts one that may be there (ON CONFLICT), which is two fifths of the work. So
a large batch is first tried without; should one row be there, the batch is rolled back to its savepoint and stored row
by row with care. What was tried in vain leaves dead rows behind: after that, care is taken for a while.
"""

from typing import Final

MIN_ROWS: Final = 500  # below it the savepoint costs more than it saves
CALM_BATCHES: Final = 20  # without a copy in them, until it is tried again: dead rows are at most one in 20


class Optimism:
    """Of one process. Several threads may share it: what they overwrite of each other costs time and no row."""

    def __init__(self) -> None:
        self._careful_batches = 0

    def suits(self, rows: int) -> bool:
        """Whether to try a batch of so many rows the quick way."""
        return rows >= MIN_ROWS and self._careful_batches == 0

    def disappointed(self) -> None:
        """A row was there."""
        self._careful_batches = CALM_BATCHES

    def learn(self, rows: int, copies: int) -> None:
        """What a batch that was stored with care turned out to be."""
        if copies:
            self._careful_batches = CALM_BATCHES
        elif rows >= MIN_ROWS:
            self._careful_batches = max(0, self._careful_batches - 1)
