"""What a gateway's page says of an audit entry, a certificate and the brokers, in both languages."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from tds.dashboard import gateway_texts
from tds.dashboard.gateway_texts import MAX_DETAIL_CHARS
from tds.identity.models import Certificate
from tds.identity.revocation.taken import Stage, Taken

ZONE: Final = ZoneInfo("America/Sao_Paulo")
NOW: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"expires_at": "2027-03-01T12:00:00+00:00"}, [("good until", "03/01/2027 9 a.m.")]),
        ({"expires_at": "tomorrow"}, [("good until", "tomorrow")]),
        ({"how": "claim", "before": "disabled"}, [("before", "disabled"), ("given by", "claim code")]),
        ({"zeta": 1, "serial": "ab"}, [("serial number", "ab"), ("zeta", "1")]),  # a later version's word stays
        ({"reason": None}, [("reason", "None")]),
        ({"note": "x" * 500}, [("note", "x" * MAX_DETAIL_CHARS)]),
        ({}, []),
    ],
)
def test_an_entrys_details_are_named_and_bounded(found: dict[str, Any], shown: list[tuple[str, str]]) -> None:
    with translation.override("en"):
        assert gateway_texts.detail(found, ZONE) == shown


@pytest.mark.parametrize(
    ("fields", "trusted", "shown"),
    [
        ({}, ["device-1"], "valid"),
        ({}, [], "valid"),
        ({}, ["device-2"], "authority not trusted any more"),
        ({"revoked_at": NOW}, ["device-1"], "revoked"),
        ({"not_before": NOW + DAY}, ["device-1"], "not valid yet"),
        ({"not_after": NOW + DAY}, ["device-1"], "runs out soon"),
        ({"not_after": NOW - DAY}, ["device-1"], "ran out"),
    ],
)
def test_a_certificate_says_what_can_be_done_with_it(fields: dict[str, Any], trusted: list[str], shown: str) -> None:
    valid = {"issuer": "device-1", "not_before": NOW - DAY, "not_after": NOW + 400 * DAY}
    with translation.override("en"):
        assert gateway_texts.state(Certificate(**valid | fields), trusted, now=NOW)[0] == shown


@pytest.mark.parametrize(
    ("language", "after", "admitted", "said"),
    [
        ("en", 0.3, False, "Cut off after 0.3 s; the brokers refuse it."),
        ("pt-br", 0.3, False, "Desconectado após 0,3 s; os brokers o recusam."),
        ("pt-br", 12.34, True, "Os brokers voltaram a aceitá-lo, após 12 s."),
        ("en", None, True, "The brokers let it in."),
    ],
)
def test_how_long_it_took_is_said_with_a_tenth_where_that_matters(
    language: str, after: float | None, admitted: bool, said: str
) -> None:
    how_far = Taken(Stage.DONE, after=None if after is None else timedelta(seconds=after))
    with translation.override(language):
        assert gateway_texts.reached(how_far, admitted=admitted) == said


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_a_sentence(stage: Stage) -> None:
    with translation.override("en"):
        assert gateway_texts.reached(Taken(stage, ("broker-2",)), admitted=False).endswith((".", "…"))
