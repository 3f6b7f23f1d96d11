/* Where a device's events come from. */
#pragma once

#include "../core/step.h"

typedef struct {
    void *ctx;
    /* Waits up to so long for the next event. False: none came. What the event points to is good until the next call.
     */
    bool (*next)(void *ctx, uint32_t timeout_ms, event_t *out);
} port_events_t;
