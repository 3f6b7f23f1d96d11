"""What a claim code looks like, and what people make of it when they type it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.models import Gateway
from tds.identity.enrolment import claims
from tds.identity.models import ClaimCode

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_a_code_has_a_hundred_random_bits_of_which_a_list_shows_twenty() -> None:
    secret = claims.new_secret()
    assert [len(group) for group in secret.split("-")] == [4, 4, 4, 4, 4]
    assert len(claims.ALPHABET) == 32
    assert (claims.CODE_CHARS - claims.GROUP_CHARS) * 5 >= 80
    assert len({claims.new_secret() for _ in range(1_000)}) == 1_000


def test_no_letter_of_a_code_looks_like_another() -> None:
    assert not set("ILOU") & set(claims.ALPHABET)


@pytest.mark.parametrize(
    "typed",
    [
        "7KQF-2M90-XW11-8HBA-4N6P",
        "7kqf-2m9o-xwil-8hba-4n6p",
        "7KQF2M9OXWL18HBA4N6P",
        " 7kqf 2m9O Xw1l 8hba 4n6p ",
    ],
)
def test_case_dashes_and_letters_that_look_alike_do_not_matter(typed: str) -> None:
    assert claims.normalised(typed) == "7KQF2M90XW118HBA4N6P"


@pytest.mark.parametrize(
    "typed", ["", "7KQF", "7KQF-2M90-XW31-8HBA-4N6", "7KQF-2M90-XW31-8HBA-4N6PP", "7KQF-2M90-XW31-8HBA-4N6U", "ſ" * 20]
)
def test_what_can_be_no_code_is_none(typed: str) -> None:
    assert claims.normalised(typed) is None


@given(st.text(max_size=200))
def test_any_text_is_a_code_in_its_normal_form_or_none(typed: str) -> None:
    meant = claims.normalised(typed)
    assert meant is None or claims.normalised(meant.lower()) == meant


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"used_at": NOW}, "was used at 2026-11-25 00:00 UTC"),
        ({"revoked_at": NOW}, "revoked, or replaced"),
        ({"expires_at": NOW}, "expired at 2026-11-25 00:00 UTC"),
    ],
)
def test_a_code_that_is_over_says_why_and_what_to_do(fields: dict[str, datetime], said: str) -> None:
    claim = ClaimCode(gateway=Gateway(code="GW-1"), **{"expires_at": NOW + timedelta(days=1)} | fields)
    trouble = claims.trouble(claim, NOW)
    assert said in trouble
    assert bool(trouble) == ("./tds claim add GW-1" in trouble)
