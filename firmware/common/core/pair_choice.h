/* Which of its two pairs of key and certificate a device shows: the renewed one, or the factory's. Pure.
 *
 * A renewed pair can turn out to be one that the broker takes from nobody: it was revoked, or its authority is not the
 * broker's. The factory's is still there, and may be good: with it the device comes back, and renews from there.
 *
 * What counts is what a broker says of a pair: FAILURE_TLS_OTHER and FAILURE_MQTT_REFUSED. Other failures say nothing
 * for it or against it; a connection says all is well. After PAIR_REFUSALS in a row over at least PAIR_REFUSED_S the
 * other pair is shown, if it is there and has not run out; and when that one is refused for as long, the first again.
 */
#pragma once

#include "step.h"

typedef struct {
    int64_t not_before_unix_s, not_after_unix_s; /* 0, 0: there is no such pair */
} pair_times_t;

typedef struct {
    pair_t in_use;
    uint32_t refused_s;
    uint32_t refusals;   /* of the one in use, in a row */
    uint64_t refused_ms; /* when the first of them was */
    uint32_t changes;    /* made because of refusals */
} pair_choice_t;

/* `refused_s`: 0: PAIR_REFUSED_S. */
void pair_choice_init(pair_choice_t *choice, pair_t in_use, uint32_t refused_s);
void pair_choice_use(pair_choice_t *choice, pair_t pair); /* it was renewed */
void pair_choice_accepted(pair_choice_t *choice);
/* True: from now on the other pair is in use. `other`: its validity; `unix_s`: 0: not known. */
bool pair_choice_failed(pair_choice_t *choice, failure_t failure, uint64_t now_ms, const pair_times_t *other,
                        int64_t unix_s);
pair_t pair_choice_other(const pair_choice_t *choice);
bool pair_is_there(const pair_times_t *times);
