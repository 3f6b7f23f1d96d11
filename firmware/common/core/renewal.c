#include "renewal.h"

static bool has_certificate(const renewal_t *renewal)
{
    return renewal->not_after_unix_s > renewal->not_before_unix_s;
}

static void take(renewal_t *renewal, int64_t not_before_unix_s, int64_t not_after_unix_s)
{
    renewal->not_before_unix_s = not_before_unix_s;
    renewal->not_after_unix_s = not_after_unix_s;
    renewal->due_unix_s = INT64_MAX;
    if (has_certificate(renewal)) {
        const int64_t life_s = not_after_unix_s - not_before_unix_s;
        const int64_t spread_s = (int64_t)(((uint64_t)(life_s / 12) * renewal->place) >> 32);
        renewal->due_unix_s = not_before_unix_s + life_s / 3 * 2 + spread_s;
    }
}

void renewal_init(renewal_t *renewal, int64_t not_before_unix_s, int64_t not_after_unix_s, uint32_t place)
{
    *renewal = (renewal_t){.place = place};
    backoff_init(&renewal->pause, RENEWAL_PAUSE_FIRST_S * 1000U, RENEWAL_PAUSE_MAX_S * 1000U);
    take(renewal, not_before_unix_s, not_after_unix_s);
}

static void pause(renewal_t *renewal, int64_t pause_s, int64_t unix_s)
{
    /* The less time is left the sooner, whatever the server asks for: with none left there is nothing to renew with. */
    const int64_t quarter_s = (renewal->not_after_unix_s - unix_s) / 4;
    if (pause_s > quarter_s) {
        pause_s = quarter_s;
    }
    renewal->paused_until_unix_s = unix_s + (pause_s > RENEWAL_PAUSE_MIN_S ? pause_s : RENEWAL_PAUSE_MIN_S);
}

static void try_again(renewal_t *renewal, uint32_t retry_after_s, int64_t unix_s, uint32_t random)
{
    int64_t pause_s = backoff_next(&renewal->pause, random) / 1000;
    if (retry_after_s > 0) {
        pause_s = retry_after_s < RENEWAL_PAUSE_MAX_S ? retry_after_s : RENEWAL_PAUSE_MAX_S;
    }
    pause(renewal, pause_s, unix_s);
    renewal->under_way = false;
}

bool renewal_due(renewal_t *renewal, int64_t unix_s, uint32_t random)
{
    if (renewal->under_way) {
        /* Also when the clock was set back behind the moment of asking: nobody knows how long ago that was. */
        if (unix_s < renewal->asked_unix_s || unix_s - renewal->asked_unix_s >= RENEWAL_TIMEOUT_S) {
            try_again(renewal, 0, unix_s, random);
        }
        return false;
    }
    if (unix_s < renewal_next_due_unix_s(renewal, unix_s)) {
        return false;
    }
    renewal->under_way = true;
    renewal->asked_unix_s = unix_s;
    return true;
}

void renewal_done(renewal_t *renewal, bool ok, int64_t not_before_unix_s, int64_t not_after_unix_s,
                  uint32_t retry_after_s, int64_t unix_s, uint32_t random)
{
    if (!ok) {
        try_again(renewal, retry_after_s, unix_s, random);
        return;
    }
    renewal->under_way = false;
    backoff_reset(&renewal->pause);
    take(renewal, not_before_unix_s, not_after_unix_s);
    renewal->paused_until_unix_s = unix_s + RENEWAL_PAUSE_FIRST_S;
}

void renewal_fall_back(renewal_t *renewal, int64_t not_before_unix_s, int64_t not_after_unix_s, int64_t unix_s)
{
    take(renewal, not_before_unix_s, not_after_unix_s);
    const uint32_t half_s = RENEWAL_PAUSE_MAX_S / 2;
    pause(renewal, half_s + (int64_t)(((uint64_t)half_s * renewal->place) >> 32), unix_s);
}

bool renewal_has_run_out(const renewal_t *renewal, int64_t unix_s)
{
    return has_certificate(renewal) && unix_s >= renewal->not_after_unix_s;
}

int64_t renewal_next_due_unix_s(const renewal_t *renewal, int64_t unix_s)
{
    if (renewal->under_way) {
        return renewal->asked_unix_s + RENEWAL_TIMEOUT_S;
    }
    if (renewal_has_run_out(renewal, unix_s)) {
        return INT64_MAX;
    }
    /* A pause that ends later than any may was reckoned with a clock that has stepped back since. */
    const bool paused = renewal->paused_until_unix_s > renewal->due_unix_s &&
                        renewal->paused_until_unix_s <= unix_s + RENEWAL_PAUSE_MAX_S;
    return paused ? renewal->paused_until_unix_s : renewal->due_unix_s;
}
