"""What a rollout's timeline tells: every kind of line that there is, each with its sentence."""

from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, ngettext_lazy


class Happened(StrEnum):
    """RolloutEvent.kind."""

    MADE = "made"
    STARTED = "started"
    WAVE_OPENED = "wave_opened"
    SOAK_BEGAN = "soak_began"
    SOAK_BROKEN = "soak_broken"
    UNSTEADY = "unsteady"
    PAUSED = "paused"
    RESUMED = "resumed"
    ACCEPTED = "accepted"  # resumed after a halt
    CANCELED = "canceled"
    HALTED = "halted"
    GATE_WAITS = "gate_waits"
    GATE_FAILED = "gate_failed"
    GATE_BLIND = "gate_blind"
    COMPLETED = "completed"
    REPLACED = "replaced"
    REPLACES = "replaces"
    KNOWN_BAD = "known_bad"
    RETRIED = "retried"
    WITHDRAWN = "withdrawn"
    UPDATE_RETRIED = "update_retried"
    UPDATE_CANCELED = "update_canceled"
    # Of single executions, or of many at once.
    UPDATE_FAILED = "update_failed"
    UPDATE_REFUSED = "update_refused"
    UPDATE_LOST = "update_lost"
    UPDATE_REMOVED = "update_removed"
    UPDATE_CORRECTED = "update_corrected"
    NO_ANSWER = "no_answer"


# Halted before any wave had begun, or for what is no wave's fault.
HALTED_AS_A_WHOLE: Final[str | Promise] = gettext_lazy("Halted.")
# With the words that fill them; a sentence that is bent by a number names it. A line that also has `why` (a Halt, or a
# reason of an execution) goes on with that.
SENTENCES: Final[dict[str, str | Promise]] = {
    Happened.MADE: gettext_lazy("Drafted."),
    Happened.STARTED: ngettext_lazy(
        "Started for %(gateways)s gateway; left out: %(left_out)s.",
        "Started for %(gateways)s gateways; left out: %(left_out)s.",
        "gateways",
    ),
    Happened.WAVE_OPENED: ngettext_lazy(
        "Wave %(wave)s (%(label)s) was opened for %(size)s gateway.",
        "Wave %(wave)s (%(label)s) was opened for %(size)s gateways.",
        "size",
    ),
    Happened.SOAK_BEGAN: gettext_lazy("Wave %(wave)s: enough have succeeded; they are watched for %(soak_s)s s."),
    Happened.SOAK_BROKEN: gettext_lazy("Wave %(wave)s: not enough have succeeded any more; the soak begins anew."),
    Happened.UNSTEADY: gettext_lazy("Wave %(wave)s: its soak was broken by %(gateways)s the last time."),
    Happened.PAUSED: gettext_lazy("Paused."),
    Happened.RESUMED: gettext_lazy("Resumed."),
    Happened.ACCEPTED: ngettext_lazy(
        "Resumed in spite of it; %(accepted)s failure does not count any more.",
        "Resumed in spite of it; %(accepted)s failures do not count any more.",
        "accepted",
    ),
    Happened.CANCELED: ngettext_lazy(
        "Canceled; %(gateways)s gateway had not finished.",
        "Canceled; %(gateways)s gateways had not finished.",
        "gateways",
    ),
    Happened.HALTED: gettext_lazy(
        "Halted in wave %(wave)s: of %(finished)s finished %(bad)s failed, %(succeeded)s succeeded, %(rejected)s"
        " refused."
    ),
    Happened.GATE_WAITS: ngettext_lazy(
        "Wave %(wave)s was watched for so long, and %(waiting)s gateway has not had the time to send enough to be"
        " compared: it goes on when that has come.",
        "Wave %(wave)s was watched for so long, and %(waiting)s gateways have not had the time to send enough to be"
        " compared: it goes on when that has come.",
        "waiting",
    ),
    Happened.GATE_FAILED: ngettext_lazy(
        "%(bad)s of %(watched)s watched gateways delivers less than before.",
        "%(bad)s of %(watched)s watched gateways deliver less than before.",
        "bad",
    ),
    Happened.GATE_BLIND: ngettext_lazy(
        "The %(watched)s watched gateway could not be judged: there is nothing to compare with.",
        "None of the %(watched)s watched gateways could be judged: there is nothing to compare with.",
        "watched",
    ),
    Happened.COMPLETED: gettext_lazy("Completed: %(succeeded)s succeeded, %(bad)s failed."),
    Happened.REPLACED: gettext_lazy("Replaced by version %(version)s."),
    Happened.REPLACES: gettext_lazy("Takes the place of version %(version)s."),
    Happened.KNOWN_BAD: ngettext_lazy(
        "%(gateways)s gateway was taken out: the release was rolled back on %(where)s twice.",
        "%(gateways)s gateways were taken out: the release was rolled back on %(where)s twice.",
        "gateways",
    ),
    Happened.RETRIED: ngettext_lazy(
        "%(gateways)s gateway tries again.", "%(gateways)s gateways try again.", "gateways"
    ),
    Happened.WITHDRAWN: ngettext_lazy(
        "%(gateways)s gateway had not begun, and does not any more: the release was withdrawn.",
        "%(gateways)s gateways had not begun, and do not any more: the release was withdrawn.",
        "gateways",
    ),
    Happened.UPDATE_RETRIED: gettext_lazy("%(gateway)s tries again."),
    Happened.UPDATE_CANCELED: gettext_lazy("The update of %(gateway)s was canceled."),
    Happened.UPDATE_FAILED: gettext_lazy("The update of %(gateway)s failed."),
    Happened.UPDATE_REFUSED: gettext_lazy("%(gateway)s refused the update."),
    Happened.UPDATE_LOST: gettext_lazy("%(gateway)s began to install and was not heard of again."),
    Happened.UPDATE_REMOVED: gettext_lazy("%(gateway)s was disabled or retired: its update ended."),
    Happened.UPDATE_CORRECTED: gettext_lazy("%(gateway)s was %(before)s, and is %(after)s by what it runs."),
    Happened.NO_ANSWER: ngettext_lazy(
        "%(gateways)s gateway was away for too long.", "%(gateways)s gateways were away for too long.", "gateways"
    ),
}
