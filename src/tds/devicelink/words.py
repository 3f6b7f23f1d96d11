"""What is known of a gateway's presence, in English, for the command line. Pure."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from tds.devicelink.health import Counts, Health, Session, Trouble
from tds.devicelink.ignored import Strangers

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
HOURS_UNTIL: Final = 48  # then days

SESSIONS: Final = {
    Session.CONNECTED: "connected",
    Session.NOT_CONNECTED: "not connected",
    Session.UNCERTAIN: "uncertain",
    Session.UNSAID: "not said",
    Session.NEVER: "never seen",
}


def notes(health: Health, *, now: datetime) -> list[str]:
    """What is worth a look, a clause each; empty when all is well."""
    found = [_note(trouble, health, now) for trouble in health.troubles]
    if health.put_out and health.uncertain_since is not None:
        return [f"put out at {moment(health.uncertain_since)} and not heard since", *found]
    if health.session is Session.UNCERTAIN and health.uncertain_since is not None:
        return [f"whether it is connected is not known since {moment(health.uncertain_since)}", *found]
    return found


def sentence(health: Health, *, now: datetime) -> str:
    """Of the session alone."""
    match health.session:
        case Session.CONNECTED | Session.NOT_CONNECTED if health.since is not None:
            what = SESSIONS[health.session].capitalize()
            where = f" with {health.broker}" if health.session is Session.CONNECTED else ""
            exactly = "" if health.since_exact else " or longer"
            return f"{what}{where} since {moment(health.since)} ({span(now - health.since)}{exactly})."
        case Session.UNSAID:
            return "It sends, and has never said on its status topic whether it is there."
        case Session.NEVER:
            return "Nothing of it has ever come."
        case _:
            what = "whether it is connected is not known"
            since = f" since {moment(health.uncertain_since)}" if health.uncertain_since else ""
            return f"{what.capitalize()}{since}; it was with {health.broker}, and nothing has come since."


def fleet(counts: Counts) -> str:
    """Of all gateways, for a line of `tds status`."""
    if not counts.gateways:
        return "None is registered."
    sessions = [f"{counts.sessions[session]:,} {SESSIONS[session]}" for session in Session if counts.sessions[session]]
    troubles = ((counts.silent, "silent"), (counts.wrong_clock, "with a wrong clock"))
    found = [f"{number:,} {what}" for number, what in troubles if number]
    return f"{counts.gateways:,} in use: {', '.join(sessions)}{'; ' if found else ''}{', '.join(found)}."


def strangers(found: Collection[Strangers], *, now: datetime) -> str:
    """Of all brokers, for the same line; empty when there was none."""
    if not found:
        return ""
    messages, last = sum(each.messages for each in found), max(found, key=lambda each: each.last_at)
    what = "presence message" if messages == 1 else "presence messages"
    return (
        f"{messages:,} {what} of codes that no gateway in use has since the worker's start, the last one "
        f"{ago(last.last_at, now=now)} ({moment(last.last_at)}) of {last.last_code}."
    )


def span(length: timedelta) -> str:
    """In one unit, cut and not rounded: 12 s, 3 min, 2 h, 5 d."""
    length = abs(length)
    if length < MINUTE:
        return f"{int(length.total_seconds())} s"
    if length < HOUR:
        return f"{length // MINUTE} min"
    return f"{length // HOUR} h" if length < HOURS_UNTIL * HOUR else f"{length // DAY} d"


def ago(at: datetime, *, now: datetime) -> str:
    return f"{span(now - at)} {'ago' if at <= now else 'ahead'}"


def moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _note(trouble: Trouble, health: Health, now: datetime) -> str:
    off = span(health.clock_off) if health.clock_off is not None else "?"
    match trouble:
        case Trouble.SILENT:
            silent = span(now - health.silent_since) if health.silent_since else "?"
            return f"connected but silent for {silent}"
        case Trouble.CLOCK_AHEAD:
            return f"its clock is {off} ahead"
        case Trouble.CLOCK_BEHIND:
            return f"its clock is {off} behind{', and what it sends is quarantined' if health.too_old else ''}"
        case Trouble.OLD_READINGS:
            return f"its readings are {off} old: its clock is behind, or it sends what it has kept"
        case Trouble.DISABLED_YET_CONNECTED:
            return "not admitted, yet connected"
        case Trouble.NOT_CONNECTED_YET_SENDS:
            return "it says that it is not connected, yet messages come"
