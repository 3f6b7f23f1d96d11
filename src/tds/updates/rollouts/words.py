"""What rollouts say to people: a sentence for each reason, in the language of whoever reads."""

from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from tds.updates.executions.statuses import REASON_SENTENCES
from tds.updates.rollouts.eligibility import Reason
from tds.updates.rollouts.gate import Sign
from tds.updates.rollouts.rules import Halt
from tds.updates.timeline import HALTED_AS_A_WHOLE, SENTENCES, Happened

REASONS: Final[dict[str, Promise]] = {
    Reason.RETIRED: gettext_lazy("It is retired."),
    Reason.DISABLED: gettext_lazy("It is disabled: enable it first."),
    Reason.IN_ANOTHER_ROLLOUT: gettext_lazy("An update of another rollout is open there: wait for it, or cancel it."),
    Reason.NO_TRUST: gettext_lazy(
        "It has not said yet which keys it trusts: it asks for them within 5 minutes of its start;"
        " older firmware never does."
    ),
    Reason.WRONG_FAMILY: gettext_lazy("The release is not for its family."),
    Reason.WRONG_CHIP: gettext_lazy("The release is for another chip."),
    Reason.WRONG_HARDWARE: gettext_lazy("The release is not for its hardware revision."),
    Reason.ALREADY_ON_IT: gettext_lazy("It runs this release already."),
    Reason.COUNTER_NOT_HIGHER: gettext_lazy(
        "It runs this release's successor or its equal: it would refuse to go back."
    ),
    Reason.SOURCE_TOO_OLD: gettext_lazy("What it runs is too old for this release: bring it to one in between first."),
    Reason.KNOWN_BAD: gettext_lazy("This release was rolled back on its hardware more than once."),
}

HALTS: Final[dict[str, Promise]] = {
    Halt.LOST: gettext_lazy("A gateway began to install it and was not heard of again."),
    Halt.FAILURES: gettext_lazy("Too many of those that finished have failed."),
    Halt.TOO_FEW_SUCCEEDED: gettext_lazy("So many have not taken it that not enough can succeed any more."),
    Halt.NOBODY_JUDGED: gettext_lazy(
        "Nothing was tried: all updates of the wave were canceled, or their gateways removed."
    ),
    Halt.UNSTEADY: gettext_lazy(
        "Again and again enough had succeeded, and then not any more: disable gateways that go back and forth, and"
        " resume it."
    ),
    Halt.TELEMETRY: gettext_lazy("Gateways that run it deliver less than they did before."),
    Halt.WITHDRAWN: gettext_lazy("The release was withdrawn."),
}

SIGNS: Final[dict[str, Promise]] = {
    Sign.SILENT: gettext_lazy("It sends no readings any more."),
    Sign.FEWER_MESSAGES: gettext_lazy("It sends far fewer messages than in the week before, or than it says itself."),
    Sign.FEWER_READINGS: gettext_lazy("It reads fewer things than in the week before."),
    Sign.QUARANTINED: gettext_lazy("More of its messages are refused than before."),
    Sign.RESTARTS: gettext_lazy("It starts again and again."),
    Sign.ALERTS: gettext_lazy("It has more open alerts than before."),
}


def signs(words: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of a line of the timeline: the gateways that it names, each with what is worse there."""
    told = words.get("signs")
    if not isinstance(told, dict):
        return []
    return [(str(code), str(SIGNS.get(sign, sign))) for code, sign in told.items()]


def reason(word: str) -> str:
    """Of a gateway that was left out. A word of a later version is shown as it is."""
    return str(REASONS.get(word, word))


def halt(word: str) -> str:
    return str(HALTS.get(word, word))


def event(kind: str, words: Mapping[str, Any]) -> str:
    """A line of the timeline."""
    of_no_wave = kind == Happened.HALTED and not words.get("wave")
    text = HALTED_AS_A_WHOLE if of_no_wave else SENTENCES.get(kind)
    if text is None:
        return kind
    try:
        line = str(text % words)  # by their numbers
    except (KeyError, TypeError, ValueError):  # of another version
        return kind
    why = words.get("why")
    if not isinstance(why, str):
        return line
    sentence = HALTS.get(why) or next((text for word, text in REASON_SENTENCES.items() if word == why), "")
    return f"{line} {sentence}" if sentence else line
