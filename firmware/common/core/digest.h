/* SHA-256 of what is there in one piece, or in a few. Pure. */
#pragma once

#include "../port/port_crypto.h"

typedef struct {
    const void *data;
    size_t len_bytes;
} digest_part_t;

/* False: it can't be had here and now. */
bool digest_of(const port_crypto_t *crypto, const digest_part_t *parts, size_t part_count, uint8_t out[SHA256_BYTES]);
