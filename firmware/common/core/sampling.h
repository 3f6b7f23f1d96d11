/* When to measure. Pure.
 *
 * The first time is soon after power-up. From the moment on that the time is known, samples lie on a grid of the wall
 * clock: at a phase of the interval that is each device's own, so that a fleet that was switched on together does not
 * report together, and that is another one in each boot and after each step back of the clock.
 *
 * Why a grid: a reading is known by its second. When a clock steps back, seconds come a second time, and a sample on
 * one that was used already would be taken for a copy of it and be lost. Each boot's phase is a golden section of the
 * interval further than the one before, so that any few in a row are as far apart as they can be (Knuth, "The Art of
 * Computer Programming", 6.4); steps of the clock have a section of their own. At 60 s, any of 22 boots, or of 4 boots
 * with up to 4 steps back each, keep more than a second from each other; at 5 s, 3 boots, or 2 steps. The first sample
 * of a boot lies where it lies: one that comes after a clock that ran ahead may meet a second that was used.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t next_ms;
    uint64_t last_ms; /* of the last sample; since boot */
    uint32_t interval_ms;
    bool measured; /* last_ms is one */
} sampling_t;

/* The first sample after power-up: soon, and not at once, because a device that restarts at once must not use the
 * second of its last sample again. */
#define SAMPLING_FIRST_MIN_MS 1000
#define SAMPLING_FIRST_MAX_MS 2000
#define SAMPLING_GAP_MS 2000 /* never closer, whatever is changed: two samples never share a second */

void sampling_init(sampling_t *sampling, uint64_t now_ms, uint32_t interval_s, uint32_t random);
/* True once for each time it is due. What was missed (asleep, a blocked loop) is one sample and not many. */
bool sampling_due(sampling_t *sampling, uint64_t now_ms);
/* The next one comes within the new interval. */
void sampling_set_interval(sampling_t *sampling, uint64_t now_ms, uint32_t interval_s);
/* Somebody wants one now. */
void sampling_hurry(sampling_t *sampling, uint64_t now_ms);

/* The phase, over all of uint32_t, of the device whose `place` this is, in this boot and after so many steps back. */
uint32_t sampling_phase(uint32_t place, uint32_t boot, uint32_t steps_back);
/* Moves the next sample by at most half an interval, to where (ms since boot + offset_ms) has that phase. The first one
 * after power-up stays where it is. */
void sampling_align(sampling_t *sampling, uint64_t now_ms, int64_t offset_ms, uint32_t phase);
