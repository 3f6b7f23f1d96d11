"""What is known of a gateway's presence, in sentences of the reader's language. Pure: `now` is an argument.

Three facts that say different things and are never folded into one light: whether a broker has a session with it, when
its last message came, and of when its newest reading is. What of them is worth a look `devicelink/health.py` judges.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from tds.devicelink import words
from tds.devicelink.health import Health, Session, Trouble

GOOD: Final = "good"
WARN: Final = "warn"
QUIET: Final = "quiet"
NO_BREAK: Final = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` for a list, `sentence` for the gateway's own page; `at` is the moment behind both."""

    title: str
    value: str
    sentence: str
    level: str
    at: datetime | None = None


def span(length: timedelta) -> str:
    """A number and its unit stay on one line."""
    return words.span(length).replace(" ", NO_BREAK)


def facts(health: Health, *, now: datetime) -> tuple[Fact, Fact, Fact]:
    return session(health, now=now), last_message(health, now=now), last_reading(health, now=now)


def session(health: Health, *, now: datetime) -> Fact:
    value, level = _session_value(health.session)
    odd = {Trouble.DISABLED_YET_CONNECTED, Trouble.NOT_CONNECTED_YET_SENDS}.intersection(health.troubles)
    at = health.uncertain_since if health.session is Session.UNCERTAIN else health.since
    return Fact(_("Session with the broker"), value, _session_sentence(health, now), WARN if odd else level, at)


def _session_value(session: Session) -> tuple[str, str]:
    return {
        Session.CONNECTED: (_("connected"), GOOD),
        Session.NOT_CONNECTED: (_("not connected"), WARN),
        Session.UNCERTAIN: (_("not known"), WARN),
        Session.UNSAID: (_("not said"), QUIET),
        Session.NEVER: (_("never seen"), QUIET),
    }[session]


def _session_sentence(health: Health, now: datetime) -> str:
    length = {"span": span(now - health.since) if health.since else "?"}
    if Trouble.DISABLED_YET_CONNECTED in health.troubles:
        return _("It is connected although it is not admitted; the brokers are about to cut it off.")
    if Trouble.NOT_CONNECTED_YET_SENDS in health.troubles:
        return _("It said that it left, and yet messages of it come. See what its firmware says when it connects.")
    if health.put_out and health.uncertain_since:
        return _(
            "It was put out %(span)s ago, and nothing has been heard of it since: the brokers cut it off, or will at "
            "once."
        ) % {"span": span(now - health.uncertain_since)}
    if health.session is Session.UNCERTAIN:
        unknown = {"span": span(now - health.uncertain_since) if health.uncertain_since else "?"}
        return (
            _(
                "It had a session, and for %(span)s nothing has said that it still has: its broker was started anew, "
                "or nobody listens to that broker."
            )
            % unknown
        )
    return {
        Session.CONNECTED: _("The broker has had a session with it for %(span)s.")
        if health.since_exact
        else _("The broker has had a session with it for %(span)s or longer."),
        Session.NOT_CONNECTED: _("No broker has had a session with it for %(span)s. See its power and its network."),
        Session.UNSAID: _("It sends, and has never said on its status topic whether it is there."),
        Session.NEVER: _("Nothing of it has ever come."),
    }[health.session] % length


def last_message(health: Health, *, now: datetime) -> Fact:
    title, at = _("Last message"), health.message_at
    if Trouble.SILENT in health.troubles and health.silent_since:
        sentence = _(
            "It is connected, but silent for %(span)s. See whether its devices answer it, and whether it may publish."
        ) % {"span": span(now - health.silent_since)}
        return Fact(title, _ago(at, now), sentence, WARN, at)
    if at is None:
        return Fact(title, _("never"), _("No message of it has come yet."), QUIET)
    sentence = _("Its last message came %(span)s ago.") % {"span": _age(at, now)}
    return Fact(title, _ago(at, now), sentence, _level(health, at, now), at)


def last_reading(health: Health, *, now: datetime) -> Fact:
    title, at = _("Last reading's own time"), health.reading_at
    off = _clock(health)
    if off is not None:
        value, sentence = off
        return Fact(title, value, sentence, WARN, at)
    if at is None:
        return Fact(title, _("never"), _("No reading of it has been stored yet."), QUIET)
    sentence = _("Its newest reading is of %(span)s ago, by its own clock.") % {"span": _age(at, now)}
    return Fact(title, _ago(at, now), sentence, _level(health, at, now), at)


def _clock(health: Health) -> tuple[str, str] | None:
    """What is wrong with its time, in short and as a sentence; None when nothing is."""
    if health.clock_off is None:
        return None
    length = {"span": span(health.clock_off)}
    if Trouble.CLOCK_AHEAD in health.troubles:
        return (
            _("%(span)s ahead") % length,
            _("Its clock is %(span)s ahead: what it sends is quarantined. See that it reaches a time server.") % length,
        )
    if Trouble.CLOCK_BEHIND in health.troubles and health.too_old:
        return (
            _("%(span)s behind") % length,
            _("Its clock is %(span)s behind: what it sends is quarantined. See that it reaches a time server.")
            % length,
        )
    if Trouble.CLOCK_BEHIND in health.troubles:
        return (
            _("%(span)s behind") % length,
            _("Its clock is %(span)s behind, and its readings are stored so. See that it reaches a time server.")
            % length,
        )
    if Trouble.OLD_READINGS in health.troubles:
        return (
            _("%(span)s old") % length,
            _("What it sends is %(span)s old: its clock is behind, or it sends what it kept while it was cut off.")
            % length,
        )
    return None


def _level(health: Health, at: datetime, now: datetime) -> str:
    return GOOD if now - at <= health.silent_after else WARN


def _ago(at: datetime | None, now: datetime) -> str:
    return _("%(span)s ago") % {"span": _age(at, now)} if at else _("never")


def _age(at: datetime, now: datetime) -> str:
    return span(max(now - at, timedelta(0)))  # a clock may be a little ahead
