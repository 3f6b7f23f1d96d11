/* One power for all of a device's media: flash and settings count their writes and erases together, so that a test can
 * cut between any two, whichever they are of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t operations; /* writes and erases of all its media */
    uint32_t cut_at;     /* power goes at this one: 1 is the first. 0: never */
    bool is_off;
} fake_power_t;

/* Counts one; true: power goes in it. Of NULL, a medium with a power of its own, never. */
static inline bool fake_power_goes(fake_power_t *power)
{
    if (power == NULL) {
        return false;
    }
    power->operations++;
    power->is_off = power->is_off || (power->cut_at != 0 && power->operations == power->cut_at);
    return power->is_off;
}

static inline bool fake_power_is_off(const fake_power_t *power)
{
    return power != NULL && power->is_off;
}
