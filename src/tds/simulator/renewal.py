"""When a certificate is renewed. Pure: times come in as arguments, in milliseconds since 1970.

Late enough that a lost device's certificate does not live on by itself for long, early enough that a platform which is
away for weeks is no reason to lose a gateway. RFC 7030 leaves the moment to the client.
"""

from typing import Final

RENEW_FROM: Final = 2 / 3  # of the lifetime
SPREAD: Final = 1 / 12  # of the lifetime: a box that was provisioned in a minute must not come back in one
OF_WHAT_IS_LEFT: Final = 1 / 4  # the longest pause after a failure
MIN_PAUSE_MS: Final = 1_000
MIN_BETWEEN_MS: Final = 60_000  # a platform whose certificates are due when they are issued is not asked in a loop


def renew_at_ms(not_before_ms: int, not_after_ms: int, place: float) -> int:
    """From two thirds of the lifetime, spread by `place`, which is from 0 up to 1 and each gateway's own."""
    lifetime_ms = max(0, not_after_ms - not_before_ms)
    return not_before_ms + int(lifetime_ms * (RENEW_FROM + SPREAD * place))


def try_again_at_ms(not_after_ms: int, pause_s: float, *, now_ms: int) -> int:
    """After a failure: when the pause is over, and sooner the less time is left. With none left there is no hurry."""
    pause_ms = int(pause_s * 1000)
    if not has_run_out(not_after_ms, now_ms=now_ms):
        pause_ms = min(pause_ms, int((not_after_ms - now_ms) * OF_WHAT_IS_LEFT))
    return now_ms + max(MIN_PAUSE_MS, pause_ms)


def has_run_out(not_after_ms: int, *, now_ms: int) -> bool:
    """No server lets such a certificate in (RFC 5280, 6.1.3), so nothing can be renewed with it."""
    return not_after_ms <= now_ms
