#include "digest.h"

bool digest_of(const port_crypto_t *crypto, const digest_part_t *parts, size_t part_count, uint8_t out[SHA256_BYTES])
{
    port_sha256_t state;
    if (!crypto->sha256_start(crypto->ctx, &state)) {
        return false;
    }
    bool taken = true;
    for (size_t i = 0; taken && i < part_count; i++) {
        taken = crypto->sha256_update(crypto->ctx, &state, parts[i].data, parts[i].len_bytes);
    }
    return crypto->sha256_finish(crypto->ctx, &state, taken ? out : NULL) && taken;
}
