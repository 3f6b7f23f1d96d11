"""Has a running broker read its files anew, without the part of that which harms it.

At SIGHUP mosquitto 2.0 reads passwords and rules, gives each listener with a revocation list a new TLS context, and
then goes through all sessions to judge them anew. Of a gateway that is away it finds no certificate there, and
disconnects it a second time: a session of MQTT 5 that ends by itself some time after its connection is then noted
twice among those that end, and one of the notes outlives it. With four such gateways that came back between reloads, 6
of 8 brokers died within 15 of them (upstream: issues 1521 and 3418 of eclipse-mosquitto/mosquitto).

It stops before that when a listener's certificate can't be read. So the configuration has one more listener with TLS,
the last one, that nobody can come in by; its certificate is a link, which is away while the broker reads. What is
skipped then: sessions by password are not judged either, so who lost theirs is cut like all others (agent.py), and of
the rules for services those of `user` sections end for who is connected (broker_rules.py).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

RELOAD_END: Final = "reload-ends-here.crt"
AWAY: Final = f"{RELOAD_END}.away"


@contextlib.contextmanager
def ending_early(folder: Path) -> Iterator[None]:
    """What the broker reads within this block it reads up to that listener. `folder` has its files. Raises OSError.

    Without that listener, as with a broker of another make, it is a reload like any other.
    """
    mend(folder)
    link, away = folder / RELOAD_END, folder / AWAY
    if not link.is_symlink():
        yield
        return
    link.rename(away)
    try:
        yield
    finally:
        away.rename(link)


def mend(folder: Path) -> None:
    """After somebody was killed within the block: without the link the broker would not start. Raises OSError."""
    link, away = folder / RELOAD_END, folder / AWAY
    if away.is_symlink():
        if link.is_symlink():
            away.unlink()
        else:
            away.rename(link)
