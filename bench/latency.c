#include "latency.h"

#define STEPS (1U << LATENCY_STEPS_BITS)

static uint32_t bucket_of(uint64_t time_ns)
{
    if (time_ns < STEPS) {
        return (uint32_t)time_ns;
    }
    uint32_t highest_bit = 63U - (uint32_t)__builtin_clzll(time_ns);
    uint32_t shift = highest_bit - LATENCY_STEPS_BITS;
    return ((shift + 1U) << LATENCY_STEPS_BITS) + (uint32_t)((time_ns >> shift) & (STEPS - 1U));
}

static double middle_ns(uint32_t bucket)
{
    if (bucket < STEPS) {
        return (double)bucket;
    }
    uint32_t shift = (bucket >> LATENCY_STEPS_BITS) - 1U;
    uint64_t from_ns = (uint64_t)(STEPS + (bucket & (STEPS - 1U))) << shift;
    return (double)from_ns + (double)(1ULL << shift) / 2.0;
}

void latency_add(latency_t *latency, uint64_t time_ns)
{
    latency->buckets[bucket_of(time_ns)]++;
    latency->count++;
    if (time_ns > latency->longest_ns) {
        latency->longest_ns = time_ns;
    }
}

double latency_percentile_ms(const latency_t *latency, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)latency->count);
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
        seen += latency->buckets[bucket];
        if (latency->buckets[bucket] > 0 && seen >= wanted) {
            double longest_ms = latency_longest_ms(latency);
            double middle_ms = middle_ns(bucket) / 1e6;
            return middle_ms < longest_ms ? middle_ms : longest_ms;
        }
    }
    return 0;
}

double latency_longest_ms(const latency_t *latency)
{
    return (double)latency->longest_ns / 1e6;
}
