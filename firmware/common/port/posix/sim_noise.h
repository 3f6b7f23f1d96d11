/* Repeatable chance for simulated sensors: the same seed and moment give the same value in every run, and a moment
 * later gives nearly the same. Integers only, as in the core. */
#pragma once

#include <stdint.h>

uint32_t sim_hash(uint32_t seed, uint64_t number);

/* From -1000000 to 1000000, smooth: a new direction each `period_ms`. */
int64_t sim_noise_micro(uint32_t seed, uint64_t at_ms, uint64_t period_ms);
int32_t sim_noise_milli(uint32_t seed, uint64_t at_ms, uint64_t period_ms);
/* How fast that changes, in thousandths a period: from -3000 to 3000. */
int32_t sim_noise_slope_milli(uint32_t seed, uint64_t at_ms, uint64_t period_ms);
