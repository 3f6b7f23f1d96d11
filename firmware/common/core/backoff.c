#include "backoff.h"

void backoff_init(backoff_t *backoff, uint32_t first_ms, uint32_t max_ms)
{
    backoff->first_ms = first_ms;
    backoff->max_ms = max_ms;
    backoff_reset(backoff);
}

uint32_t backoff_next(backoff_t *backoff, uint32_t random)
{
    /* The high word of a product, not a remainder: no value comes more often than another, and nothing is divided. */
    const uint32_t pause_ms = (uint32_t)(((uint64_t)random * ((uint64_t)backoff->ceiling_ms + 1)) >> 32);
    const uint64_t doubled_ms = (uint64_t)backoff->ceiling_ms * 2;
    backoff->ceiling_ms = doubled_ms < backoff->max_ms ? (uint32_t)doubled_ms : backoff->max_ms;
    return pause_ms;
}

void backoff_reset(backoff_t *backoff)
{
    backoff->ceiling_ms = backoff->first_ms < backoff->max_ms ? backoff->first_ms : backoff->max_ms;
}
