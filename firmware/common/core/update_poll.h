/* When the firmware server is asked without being told to: for an assignment, and for the trust set. Pure.
 *
 * Never at once with others: what makes many devices ask at one moment (a power failure of a region, `ota/update`) must
 * not bring the server down. So each waits a random while first, also after a start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"

#define POLL_SPREAD_S 300 /* within which a device asks after a start, or when all are told to */
#define POLL_PAUSE_FIRST_S 30
#define POLL_PAUSE_MAX_S 3600
#define POLL_TRUST_EVERY_S 86400
#define POLL_TRUST_NEAR_S 604800     /* so long before the set's end it is asked for each */
#define POLL_TRUST_NEAR_EVERY_S 3600 /* hour */
#define POLL_UNKNOWN_KEY_S 60 /* not more often because of keys that nobody knows: who sends those could be anybody */

typedef struct {
    uint64_t due_ms;
    backoff_t pause;
} poll_ask_t;

typedef struct {
    uint32_t period_s, spread_s;
    poll_ask_t assignment, trust;
    uint64_t unknown_key_from_ms; /* an unknown key is a reason to ask from then on */
} update_poll_t;

/* `spread_s` 0: POLL_SPREAD_S. */
void update_poll_init(update_poll_t *poll, uint64_t now_ms, uint32_t period_s, uint32_t spread_s, uint32_t random);
void update_poll_set_period(update_poll_t *poll, uint64_t now_ms, uint32_t period_s, uint32_t random);
/* `ota/update`. */
void update_poll_told(update_poll_t *poll, uint64_t now_ms, uint32_t random);
/* Somebody at the console, or an update that was left aside. */
void update_poll_hurry(update_poll_t *poll, uint64_t now_ms);
/* False: it was asked for already a moment ago. Otherwise it is due now, and the assignment behind it. */
bool update_poll_unknown_key(update_poll_t *poll, uint64_t now_ms);
/* `ok`: the server answered what it should. `retry_after_s` 0: not said. */
void update_poll_asked(update_poll_t *poll, uint64_t now_ms, bool ok, uint32_t retry_after_s, uint32_t random);
/* `left_s`: of the trust set's time; INT64_MAX: not known, or there is none. */
void update_poll_asked_trust(update_poll_t *poll, uint64_t now_ms, bool ok, uint32_t retry_after_s, int64_t left_s,
                             uint32_t random);
