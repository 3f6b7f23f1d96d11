/* SHA-256 and ECDSA on P-256, by a library that others look after. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define P256_KEY_BYTES 64       /* x, y: big endian, 32 bytes each */
#define P256_SIGNATURE_BYTES 64 /* R, S: RFC 7518, 3.4 */

/* Of the caller, who neither looks into it nor copies it. */
typedef struct {
    uint64_t opaque[16];
} port_sha256_t;

typedef struct {
    void *ctx;
    /* False: it can't be done here and now. Each start that was true is followed by exactly one finish: a port may hold
     * memory or the chip's engine in between. `out` NULL: it is given up. */
    bool (*sha256_start)(void *ctx, port_sha256_t *state);
    bool (*sha256_update)(void *ctx, port_sha256_t *state, const void *data, size_t len_bytes);
    bool (*sha256_finish)(void *ctx, port_sha256_t *state, uint8_t out[SHA256_BYTES]);
    bool (*is_p256_key)(void *ctx, const uint8_t public_key[P256_KEY_BYTES]); /* a point of the curve */
    /* False also for what is no point of the curve, and R or S out of range. */
    bool (*verify_p256)(void *ctx, const uint8_t public_key[P256_KEY_BYTES], const uint8_t hash[SHA256_BYTES],
                        const uint8_t signature[P256_SIGNATURE_BYTES]);
} port_crypto_t;
