"""What a rollout's timeline tells: every kind of line that there is, each with its sentence."""

from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


class Happened(StrEnum):
    """RolloutEvent.kind."""

    MADE = "made"
    STARTED = "started"
    WAVE_OPENED = "wave_opened"
    SOAK_BEGAN = "soak_began"
    SOAK_BROKEN = "soak_broken"
    PAUSED = "paused"
    RESUMED = "resumed"
    ACCEPTED = "accepted"  # resumed after a halt
    CANCELED = "canceled"
    HALTED = "halted"
    GATE_FAILED = "gate_failed"
    COMPLETED = "completed"
    REPLACED = "replaced"
    REPLACES = "replaces"
    KNOWN_BAD = "known_bad"
    RETRIED = "retried"
    UPDATE_CANCELED = "update_canceled"
    # Of single executions, or of many at once.
    UPDATE_FAILED = "update_failed"
    UPDATE_REFUSED = "update_refused"
    UPDATE_LOST = "update_lost"
    UPDATE_REMOVED = "update_removed"
    UPDATE_CORRECTED = "update_corrected"
    NO_ANSWER = "no_answer"


# With the words that fill them. A line that also has `why` (a Halt, or a reason of an execution) goes on with that.
SENTENCES: Final[dict[str, Promise]] = {
    Happened.MADE: gettext_lazy("Drafted."),
    Happened.STARTED: gettext_lazy("Started for %(gateways)s gateways; %(left_out)s are left out."),
    Happened.WAVE_OPENED: gettext_lazy("Wave %(wave)s (%(label)s) was opened for %(size)s gateways."),
    Happened.SOAK_BEGAN: gettext_lazy("Wave %(wave)s: enough have succeeded; they are watched for %(soak_s)s s."),
    Happened.SOAK_BROKEN: gettext_lazy("Wave %(wave)s: not enough have succeeded any more; the soak begins anew."),
    Happened.PAUSED: gettext_lazy("Paused."),
    Happened.RESUMED: gettext_lazy("Resumed."),
    Happened.ACCEPTED: gettext_lazy("Resumed in spite of it; %(accepted)s failures do not count any more."),
    Happened.CANCELED: gettext_lazy("Canceled; %(gateways)s gateways had not finished."),
    Happened.HALTED: gettext_lazy(
        "Halted in wave %(wave)s: of %(finished)s finished %(bad)s failed, %(succeeded)s succeeded, %(rejected)s"
        " refused."
    ),
    Happened.GATE_FAILED: gettext_lazy("%(bad)s of %(watched)s watched gateways deliver less than before."),
    Happened.COMPLETED: gettext_lazy("Completed: %(succeeded)s succeeded, %(bad)s failed."),
    Happened.REPLACED: gettext_lazy("Replaced by version %(version)s."),
    Happened.REPLACES: gettext_lazy("Takes the place of version %(version)s."),
    Happened.KNOWN_BAD: gettext_lazy(
        "%(gateways)s gateways were taken out: the release was rolled back on %(where)s twice."
    ),
    Happened.RETRIED: gettext_lazy("%(gateways)s gateways try again."),
    Happened.UPDATE_CANCELED: gettext_lazy("The update of %(gateway)s was canceled."),
    Happened.UPDATE_FAILED: gettext_lazy("The update of %(gateway)s failed."),
    Happened.UPDATE_REFUSED: gettext_lazy("%(gateway)s refused the update."),
    Happened.UPDATE_LOST: gettext_lazy("%(gateway)s began to install and was not heard of again."),
    Happened.UPDATE_REMOVED: gettext_lazy("%(gateway)s was disabled or retired: its update ended."),
    Happened.UPDATE_CORRECTED: gettext_lazy("%(gateway)s was %(before)s, and is %(after)s by what it runs."),
    Happened.NO_ANSWER: gettext_lazy("%(gateways)s gateways were away for too long."),
}
