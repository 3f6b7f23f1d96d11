#include "fake_crypto.h"

#include "../posix/posix_crypto.h"

static bool may_go_on(fake_crypto_t *crypto)
{
    return ++crypto->calls != crypto->fail_call;
}

static bool sha256_start(void *ctx, port_sha256_t *state)
{
    fake_crypto_t *crypto = ctx;
    if (!may_go_on(crypto) || !posix_crypto.sha256_start(posix_crypto.ctx, state)) {
        return false;
    }
    crypto->under_way++;
    return true;
}

static bool sha256_update(void *ctx, port_sha256_t *state, const void *data, size_t len_bytes)
{
    return may_go_on(ctx) && posix_crypto.sha256_update(posix_crypto.ctx, state, data, len_bytes);
}

static bool sha256_finish(void *ctx, port_sha256_t *state, uint8_t out[SHA256_BYTES])
{
    fake_crypto_t *crypto = ctx;
    bool good = may_go_on(crypto);
    crypto->under_way--;
    return posix_crypto.sha256_finish(posix_crypto.ctx, state, out) && good;
}

static bool is_p256_key(void *ctx, const uint8_t public_key[P256_KEY_BYTES])
{
    (void)ctx;
    return posix_crypto.is_p256_key(posix_crypto.ctx, public_key);
}

static bool verify_p256(void *ctx, const uint8_t public_key[P256_KEY_BYTES], const uint8_t hash[SHA256_BYTES],
                        const uint8_t signature[P256_SIGNATURE_BYTES])
{
    fake_crypto_t *crypto = ctx;
    crypto->verified++;
    switch (crypto->verify) {
    case FAKE_VERIFY_REALLY:
        return posix_crypto.verify_p256(posix_crypto.ctx, public_key, hash, signature);
    case FAKE_VERIFY_YES:
        return true;
    case FAKE_VERIFY_NO:
        break;
    }
    return false;
}

void fake_crypto_init(fake_crypto_t *crypto)
{
    *crypto = (fake_crypto_t){.port = {.ctx = crypto,
                                       .sha256_start = sha256_start,
                                       .sha256_update = sha256_update,
                                       .sha256_finish = sha256_finish,
                                       .is_p256_key = is_p256_key,
                                       .verify_p256 = verify_p256}};
}
