/* What time it is, from a source outside (SNTP, the modem's network time, GPS) and the milliseconds since boot. Pure.
 *
 * Times before CLOCK_EARLIEST_UNIX_S or behind CLOCK_LATEST_UNIX_S are no times: a server that answers garbage must not
 * stamp a reading.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_EARLIEST_UNIX_S 1767225600 /* 2026-01-01, before this was written */
#define CLOCK_LATEST_UNIX_S 4102444800   /* 2100-01-01 */
#define CLOCK_STEP_MS 1000               /* a correction of more is a step, and is counted */

typedef struct {
    bool known;
    int64_t offset_ms; /* unix ms - ms since boot */
    uint32_t steps;
} wall_clock_t;

typedef enum { CLOCK_REFUSED, CLOCK_FIRST, CLOCK_ADJUSTED, CLOCK_STEPPED_FORWARD, CLOCK_STEPPED_BACK } clock_change_t;

clock_change_t wall_clock_set(wall_clock_t *clock, uint64_t since_boot_ms, int64_t unix_ms);
int64_t wall_clock_unix_ms(const wall_clock_t *clock, uint64_t since_boot_ms); /* only when known */
