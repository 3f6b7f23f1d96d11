#pragma once

#include <stdint.h>

typedef struct {
    void *ctx;
    uint32_t (*next)(void *ctx); /* of the hardware or the kernel */
} port_random_t;
