#pragma once

#include <stdint.h>

typedef struct {
    void *ctx;
    uint64_t (*since_boot_ms)(void *ctx); /* never goes back, and goes on in sleep */
} port_clock_t;
