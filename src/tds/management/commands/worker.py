"""Periodic work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from tds import wiring, worker
from tds.heartbeat import Pulse
from tds.ingest import database
from tds.processes import stop_on_signal

CERTIFICATES_EVERY_S: Final = 3_600.0
GONE_EVERY_S: Final = 30.0
ARTIFACTS_EVERY_S: Final = 3_600.0


class Command(BaseCommand):
    help = (
        "Do periodic work: aggregate hours, make partitions ahead, drop what may not be kept; and sign at once who of "
        "the gateways is refused, keep whether gateways are connected and what they report, conduct rollouts, and tell "
        "gateways of their updates."
    )

    def handle(self, **_options: Any) -> None:
        disk = worker.Chore("disk", worker.DISK_EVERY_S, wiring.disk_watch().look, slow=True)
        certificates = worker.Chore("broker certificates", CERTIFICATES_EVERY_S, wiring.renew_certificates, slow=True)
        revoking = wiring.revoking()
        links = wiring.device_links(timezone.now)
        pushing = wiring.pushing(links, timezone.now)
        gone = worker.Chore("updates of gateways that are gone", GONE_EVERY_S, wiring.remove_gone)
        artifacts = worker.Chore("images of no release", ARTIFACTS_EVERY_S, wiring.clean_artifacts, slow=True)
        stopping = stop_on_signal()
        conducting = wiring.conducting(timezone.now, stopping.wait)
        worker.run(
            [*worker.chores(wiring.reading_store()), disk, certificates, gone, artifacts],
            stopping,
            connect=lambda: database.connect(
                settings.DATABASES["default"],
                name="tds-worker",
                statement_timeout_s=database.UPKEEP_TIMEOUT_S,
            ),
            now=timezone.now,
            beat=telling(
                Pulse("worker", started_at=timezone.now()).beat,
                lambda: {
                    "revoking": revoking.trouble,
                    "pushing": pushing.facts(),
                    "conducting": conducting.facts(),
                    "links": {link.broker: link.facts() for link in links},
                },
            ),
            waiting={
                "revocation lists": revoking.turn,
                "rollouts": conducting.turn,
                "updates to be pushed": pushing.turn,
                **{link.name: link.turn for link in links},
            },
        )
        # At once, each with its last acknowledgements: a broker that does not answer takes seconds.
        with ThreadPoolExecutor(len(links)) as pool:
            for link in links:
                pool.submit(link.close)


Beat = Callable[[psycopg.Connection[Any], dict[str, Any]], None]


def telling(beat: Beat, more: Callable[[], dict[str, Any]]) -> Beat:
    """The same with further facts."""
    return lambda connection, facts: beat(connection, facts | more())
