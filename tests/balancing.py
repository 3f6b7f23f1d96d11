"""After whatever a test did: the ledger agrees with itself, with the rows, the quarantine and the closed hours."""

import json

from tds import wiring
from tds.ingest import ledger_check
from tests import seeding
from tests.started import Started


def assert_balanced() -> ledger_check.Report:
    """The test database's; what was compared."""
    with seeding.own_connection() as connection:
        report = ledger_check.check(connection, wiring.reading_store(), deep=True)
    assert not report.differences, [difference.sentence for difference in report.differences]
    return report


def assert_platform_balanced(platform: Started) -> None:
    """Of a platform that runs, by its own command."""
    checked = platform.tds("ledger", "check", "--deep", "--json", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["rows_compared"]
