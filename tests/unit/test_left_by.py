"""Which certificates a thief may still have when the one that was stolen is revoked."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tds.identity.issued.certificates import left_by
from tds.identity.models import Certificate, How

NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def certificate(pk: int, how: How, *, revoked_at: datetime | None = None, ends_at: datetime = NOW + DAY) -> Certificate:
    """Issued on the day of its number."""
    issued_at = NOW + (pk - 10) * DAY
    return Certificate(pk=pk, how=how, issued_at=issued_at, revoked_at=revoked_at, not_after=ends_at)


def left(stolen: Certificate, *others: Certificate) -> list[int]:
    return [each.pk for each in left_by(stolen, [*others, stolen], now=NOW)]


def test_renewals_that_came_after_it_and_are_good() -> None:
    stolen = certificate(2, How.FACTORY, revoked_at=NOW)
    assert left(
        stolen,
        certificate(1, How.RENEWAL),
        certificate(3, How.RENEWAL),
        certificate(4, How.RENEWAL, revoked_at=NOW),
        certificate(5, How.RENEWAL, ends_at=NOW - DAY),
        certificate(6, How.RENEWAL),
    ) == [3, 6]


def test_of_one_that_is_not_revoked_yet_as_well() -> None:
    assert left(certificate(2, How.CLAIM), certificate(3, How.RENEWAL)) == [3]


def test_what_the_next_board_renews_is_not_of_it() -> None:
    stolen = certificate(1, How.FACTORY, revoked_at=NOW - 8 * DAY)  # by the claim of that day
    assert left(stolen, certificate(2, How.CLAIM), certificate(3, How.RENEWAL)) == []


def test_what_was_renewed_with_a_renewal_of_it_after_it_was_revoked_is_of_it() -> None:
    stolen = certificate(1, How.FACTORY, revoked_at=NOW - 7 * DAY)
    renewed = certificate(2, How.RENEWAL, revoked_at=NOW)
    assert left(stolen, renewed, certificate(4, How.RENEWAL)) == [4]
