#include "pair_choice.h"

_Static_assert(PAIR_REFUSED_S < RECOVERY_REBOOT_S, "a restart would begin with the refused pair before its time is up");

void pair_choice_init(pair_choice_t *choice, pair_t in_use, uint32_t refused_s)
{
    *choice = (pair_choice_t){.in_use = in_use, .refused_s = refused_s > 0 ? refused_s : PAIR_REFUSED_S};
}

void pair_choice_use(pair_choice_t *choice, pair_t pair)
{
    choice->in_use = pair;
    choice->refusals = 0;
}

void pair_choice_accepted(pair_choice_t *choice)
{
    choice->refusals = 0;
}

pair_t pair_choice_other(const pair_choice_t *choice)
{
    return choice->in_use == PAIR_RENEWED ? PAIR_FACTORY : PAIR_RENEWED;
}

bool pair_is_there(const pair_times_t *times)
{
    return times->not_after_unix_s > times->not_before_unix_s;
}

bool pair_choice_failed(pair_choice_t *choice, failure_t failure, uint64_t now_ms, const pair_times_t *other,
                        int64_t unix_s)
{
    if (failure != FAILURE_TLS_OTHER && failure != FAILURE_MQTT_REFUSED) {
        return false;
    }
    if (choice->refusals == 0) {
        choice->refused_ms = now_ms;
    }
    choice->refusals++;
    /* Not by its begin: a clock that is behind must not keep a device from what may be its way back. */
    const bool has_run_out = unix_s != 0 && unix_s >= other->not_after_unix_s;
    if (choice->refusals < PAIR_REFUSALS || now_ms - choice->refused_ms < (uint64_t)choice->refused_s * 1000 ||
        !pair_is_there(other) || has_run_out) {
        return false;
    }
    pair_choice_use(choice, pair_choice_other(choice));
    choice->changes++;
    return true;
}
