"""A choice of refused messages as JSON lines, oldest first, as `./tds quarantine export` writes them."""

import json
from collections.abc import Iterator
from typing import Final, Self

from django.core.cache import cache
from django.db.models import QuerySet

from tds.ingest import quarantined
from tds.ingest.models import QuarantinedMessage
from tds.ingest.quarantine_blocks import blocks

MAX_EXPORTED: Final = 100_000
LEASE_S: Final = 300  # renewed with each block: a web process that was killed keeps its person waiting so long


class Export:
    """The lines; one export a person at a time, because each holds a thread and a block of messages in memory."""

    def __init__(self, lease: str, chosen: "QuerySet[QuarantinedMessage]") -> None:
        self._lease = lease
        self._chosen = chosen

    @classmethod
    def begin(cls, person: str, chosen: "QuerySet[QuarantinedMessage]") -> Self | None:
        """None while another one of this person runs."""
        lease = f"quarantine-export-{person}"
        return cls(lease, chosen) if cache.add(lease, 1, LEASE_S) else None

    def __iter__(self) -> Iterator[str]:
        room = MAX_EXPORTED
        for block in blocks(self._chosen):
            cache.touch(self._lease, LEASE_S)
            for message in block[:room]:
                yield json.dumps(quarantined.described(message), ensure_ascii=False) + "\n"
            room -= len(block)
            if room <= 0:
                return

    def close(self) -> None:
        """Called by the server at the end, or when the reader is gone, be it before the first line."""
        cache.delete(self._lease)
