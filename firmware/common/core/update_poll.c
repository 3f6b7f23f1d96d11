#include "update_poll.h"

#define MS_PER_S 1000

static uint64_t in_s(uint64_t now_ms, uint32_t wait_s)
{
    return now_ms + (uint64_t)wait_s * MS_PER_S;
}

static uint64_t within_s(uint64_t now_ms, uint32_t at_most_s, uint32_t random)
{
    return now_ms + (((uint64_t)at_most_s * MS_PER_S * random) >> 32);
}

/* A period later or earlier by up to an eighth: devices that once asked together do not for ever. */
static uint64_t after_period(uint64_t now_ms, uint32_t period_s, uint32_t random)
{
    return within_s(in_s(now_ms, period_s - period_s / 8), period_s / 4, random);
}

static void init_ask(poll_ask_t *ask, uint64_t due_ms)
{
    ask->due_ms = due_ms;
    backoff_init(&ask->pause, POLL_PAUSE_FIRST_S * MS_PER_S, POLL_PAUSE_MAX_S * MS_PER_S);
}

void update_poll_init(update_poll_t *poll, uint64_t now_ms, uint32_t period_s, uint32_t spread_s, uint32_t random)
{
    *poll = (update_poll_t){.period_s = period_s, .spread_s = spread_s > 0 ? spread_s : POLL_SPREAD_S};
    init_ask(&poll->trust, within_s(now_ms, poll->spread_s, random));
    init_ask(&poll->assignment, poll->trust.due_ms); /* behind it: with the keys that are in force */
}

void update_poll_set_period(update_poll_t *poll, uint64_t now_ms, uint32_t period_s, uint32_t random)
{
    const uint64_t due_ms = after_period(now_ms, period_s, random);
    poll->period_s = period_s;
    poll->assignment.due_ms = due_ms < poll->assignment.due_ms ? due_ms : poll->assignment.due_ms;
}

void update_poll_told(update_poll_t *poll, uint64_t now_ms, uint32_t random)
{
    const uint64_t due_ms = within_s(now_ms, poll->spread_s, random);
    poll->trust.due_ms = due_ms < poll->trust.due_ms ? due_ms : poll->trust.due_ms; /* a key may be revoked */
    poll->assignment.due_ms = due_ms < poll->assignment.due_ms ? due_ms : poll->assignment.due_ms;
}

void update_poll_hurry(update_poll_t *poll, uint64_t now_ms)
{
    poll->assignment.due_ms = now_ms;
}

bool update_poll_unknown_key(update_poll_t *poll, uint64_t now_ms)
{
    if (now_ms < poll->unknown_key_from_ms) {
        return false;
    }
    poll->unknown_key_from_ms = in_s(now_ms, POLL_UNKNOWN_KEY_S);
    poll->trust.due_ms = poll->assignment.due_ms = now_ms;
    return true;
}

static void after(poll_ask_t *ask, uint64_t now_ms, bool ok, uint64_t ok_due_ms, uint32_t retry_after_s,
                  uint32_t random)
{
    if (ok) {
        ask->due_ms = ok_due_ms;
        backoff_reset(&ask->pause);
    } else if (retry_after_s > 0) {
        ask->due_ms = within_s(in_s(now_ms, retry_after_s), retry_after_s / 4 + 1, random);
    } else {
        ask->due_ms = now_ms + backoff_next(&ask->pause, random);
    }
}

void update_poll_asked(update_poll_t *poll, uint64_t now_ms, bool ok, uint32_t retry_after_s, uint32_t random)
{
    after(&poll->assignment, now_ms, ok, after_period(now_ms, poll->period_s, random), retry_after_s, random);
}

void update_poll_asked_trust(update_poll_t *poll, uint64_t now_ms, bool ok, uint32_t retry_after_s, int64_t left_s,
                             uint32_t random)
{
    const uint32_t every_s = left_s < POLL_TRUST_NEAR_S ? POLL_TRUST_NEAR_EVERY_S : POLL_TRUST_EVERY_S;
    after(&poll->trust, now_ms, ok, after_period(now_ms, every_s, random), retry_after_s, random);
}
