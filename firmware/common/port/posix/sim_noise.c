#include "sim_noise.h"

uint32_t sim_hash(uint32_t seed, uint64_t number)
{
    /* The finaliser of splitmix64: two seeds that differ in a bit have nothing in common. */
    uint64_t mixed = ((uint64_t)seed << 32) + number * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return (uint32_t)((mixed ^ (mixed >> 31)) >> 32);
}

static int64_t corner_micro(uint32_t seed, uint64_t number)
{
    return (int64_t)(sim_hash(seed, number) % 2000001U) - 1000000;
}

/* Millionths of the way from one corner to the next. */
static int64_t way_micro(uint64_t at_ms, uint64_t period_ms)
{
    return (int64_t)(at_ms % period_ms * 1000000U / period_ms);
}

int64_t sim_noise_micro(uint32_t seed, uint64_t at_ms, uint64_t period_ms)
{
    uint64_t number = at_ms / period_ms;
    int64_t way = way_micro(at_ms, period_ms);
    int64_t eased = way * way / 1000 * (3000000 - 2 * way) / 1000000000; /* 3x² - 2x³: flat at both ends */
    int64_t from = corner_micro(seed, number), to = corner_micro(seed, number + 1);
    return from + (to - from) * eased / 1000000;
}

int32_t sim_noise_milli(uint32_t seed, uint64_t at_ms, uint64_t period_ms)
{
    return (int32_t)(sim_noise_micro(seed, at_ms, period_ms) / 1000);
}

int32_t sim_noise_slope_milli(uint32_t seed, uint64_t at_ms, uint64_t period_ms)
{
    uint64_t number = at_ms / period_ms;
    int64_t way = way_micro(at_ms, period_ms);
    int64_t slope = 6 * way * (1000000 - way) / 1000000; /* of 3x² - 2x³, in millionths */
    return (int32_t)((corner_micro(seed, number + 1) - corner_micro(seed, number)) * slope / 1000000000);
}
