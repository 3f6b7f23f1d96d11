"""Numbers as whoever reads a sentence writes them."""

from django.utils.formats import number_format


def grouped(number: int) -> str:
    return number_format(number, use_l10n=True, force_grouping=True)
