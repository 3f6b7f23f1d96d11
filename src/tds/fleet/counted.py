"""A number with what it counts, in what is English alone: commands, `./tds status`, logs. Pages have `ngettext`."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 gateway`, `2,000 gateways`; with a verb: `counted(n, "gateway tries", "gateways try")`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
