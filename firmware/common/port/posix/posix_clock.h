/* The host's clocks. What time it is comes as EVENT_CLOCK, at once and then each minute, as from SNTP; it may be
 * another than the host's, or none, so that a device with a wrong clock can be looked at. */
#pragma once

#include "../port_clock.h"
#include "posix_source.h"

#define POSIX_CLOCK_EVERY_MS 60000

typedef struct {
    uint64_t started_ms;
    uint64_t say_at_ms;
    bool known;
    int64_t shift_ms;
    port_clock_t port;
} posix_clock_t;

uint64_t posix_now_ms(void); /* since the host's boot, sleep included */

/* `known` false: a device that nobody tells the time. */
void posix_clock_init(posix_clock_t *clock, bool known, int64_t shift_s);
/* The clock jumps, now. */
void posix_clock_shift(posix_clock_t *clock, bool known, int64_t shift_s);
/* So much time passes at once, as when this machine was asleep: for what is due after hours. */
void posix_clock_skip(posix_clock_t *clock, int64_t seconds);
/* What the device takes for now. False: it does not know. */
bool posix_clock_unix_ms(const posix_clock_t *clock, int64_t *out);
posix_source_t posix_clock_source(posix_clock_t *clock);
