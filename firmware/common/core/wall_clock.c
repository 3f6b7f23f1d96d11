#include "wall_clock.h"

#define MS_PER_S 1000

clock_change_t wall_clock_set(wall_clock_t *clock, uint64_t since_boot_ms, int64_t unix_ms)
{
    if (unix_ms < (int64_t)CLOCK_EARLIEST_UNIX_S * MS_PER_S || unix_ms > (int64_t)CLOCK_LATEST_UNIX_S * MS_PER_S ||
        since_boot_ms > INT64_MAX) {
        return CLOCK_REFUSED;
    }
    int64_t offset_ms = unix_ms - (int64_t)since_boot_ms;
    if (!clock->known) {
        clock->known = true;
        clock->offset_ms = offset_ms;
        return CLOCK_FIRST;
    }
    /* Both are a time of this century less some milliseconds of one boot: the difference can't leave 64 bits unless
     * the counter of milliseconds itself is broken. */
    int64_t change_ms = (int64_t)((uint64_t)offset_ms - (uint64_t)clock->offset_ms);
    clock->offset_ms = offset_ms;
    if (change_ms > CLOCK_STEP_MS) {
        clock->steps++;
        return CLOCK_STEPPED_FORWARD;
    }
    if (change_ms < -CLOCK_STEP_MS) {
        clock->steps++;
        return CLOCK_STEPPED_BACK;
    }
    return CLOCK_ADJUSTED;
}

int64_t wall_clock_unix_ms(const wall_clock_t *clock, uint64_t since_boot_ms)
{
    return (int64_t)(since_boot_ms + (uint64_t)clock->offset_ms);
}
