#include "sampling.h"

void sampling_init(sampling_t *sampling, uint64_t now_ms, uint32_t interval_s, uint32_t random)
{
    const uint64_t span_ms = SAMPLING_FIRST_MAX_MS - SAMPLING_FIRST_MIN_MS + 1;
    *sampling = (sampling_t){
        .next_ms = now_ms + SAMPLING_FIRST_MIN_MS + ((random * span_ms) >> 32),
        .interval_ms = interval_s * 1000U,
    };
}

/* Not in the past, and not within the second of the last one. */
static void keep_apart(sampling_t *sampling, uint64_t now_ms)
{
    const uint64_t gap_ends_ms = sampling->measured ? sampling->last_ms + SAMPLING_GAP_MS : 0;
    while (sampling->next_ms <= now_ms || sampling->next_ms < gap_ends_ms) {
        sampling->next_ms += sampling->interval_ms;
    }
}

bool sampling_due(sampling_t *sampling, uint64_t now_ms)
{
    if (now_ms < sampling->next_ms) {
        return false;
    }
    /* Where the next one lies on the grid; a remainder and not a loop, for a laptop that slept for a month. */
    const uint64_t late_ms = now_ms - sampling->next_ms;
    sampling->next_ms = now_ms - late_ms % sampling->interval_ms + sampling->interval_ms;
    sampling->last_ms = now_ms;
    sampling->measured = true;
    keep_apart(sampling, now_ms);
    return true;
}

void sampling_set_interval(sampling_t *sampling, uint64_t now_ms, uint32_t interval_s)
{
    sampling->interval_ms = interval_s * 1000U;
    /* Half, because sampling_align() may add as much again. */
    sampling->next_ms = now_ms + sampling->interval_ms / 2;
    keep_apart(sampling, now_ms);
}

void sampling_hurry(sampling_t *sampling, uint64_t now_ms)
{
    uint64_t soonest_ms = now_ms;
    if (sampling->measured && soonest_ms < sampling->last_ms + SAMPLING_GAP_MS) {
        soonest_ms = sampling->last_ms + SAMPLING_GAP_MS;
    }
    if (soonest_ms < sampling->next_ms) {
        sampling->next_ms = soonest_ms;
    }
}

uint32_t sampling_phase(uint32_t place, uint32_t boot, uint32_t steps_back)
{
    /* 2^32 divided by the golden ratio; and what keeps furthest from its multiples, found by trying all. */
    return place + boot * 0x9E3779B9U + steps_back * 0x45C52E73U;
}

void sampling_align(sampling_t *sampling, uint64_t now_ms, int64_t offset_ms, uint32_t phase)
{
    if (!sampling->measured) {
        return;
    }
    const int64_t interval_ms = sampling->interval_ms;
    const int64_t phase_ms = (int64_t)(((uint64_t)phase * sampling->interval_ms) >> 32);
    int64_t ahead_ms = ((int64_t)sampling->next_ms + offset_ms - phase_ms) % interval_ms;
    if (ahead_ms < 0) {
        ahead_ms += interval_ms;
    }
    const int64_t shift_ms = ahead_ms <= interval_ms / 2 ? -ahead_ms : interval_ms - ahead_ms;
    sampling->next_ms = (uint64_t)((int64_t)sampling->next_ms + shift_ms);
    keep_apart(sampling, now_ms);
}
