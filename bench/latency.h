/* Times of any length in bounded memory: 32 steps for each doubling, so a percentile is right to about 3 %. */
#pragma once

#include <stdint.h>

#define LATENCY_STEPS_BITS 5U
#define LATENCY_BUCKETS ((64U - LATENCY_STEPS_BITS + 1U) << LATENCY_STEPS_BITS)

typedef struct {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t count;
    uint64_t longest_ns;
} latency_t;

void latency_add(latency_t *latency, uint64_t time_ns);
/* `share` from 0 to 1; 0 when nothing was added. */
double latency_percentile_ms(const latency_t *latency, double share);
double latency_longest_ms(const latency_t *latency);
