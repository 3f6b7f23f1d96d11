"""What a gateway or device may be called, on the wire and in a certificate."""

import re
from typing import Final

CODE: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
CODE_PATTERN: Final = rf"^{CODE}\Z"
# A gateway's code is its client id on the broker: with `tds-consumer` it would be handed what waits for the consumer.
RESERVED_PREFIX: Final = "tds-"

_CODE: Final = re.compile(CODE)


def is_code(text: str) -> bool:
    # fullmatch, not match with `$`: `$` would let a final line feed through.
    return _CODE.fullmatch(text) is not None


def is_reserved(code: str) -> bool:
    """Whether the platform keeps such codes for clients of its own."""
    return code.lower().startswith(RESERVED_PREFIX)
