#include "chip_crypto.h"

#include <string.h>

#include "mbedtls/bignum.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/ecp.h"
#include "mbedtls/sha256.h"

#define COORDINATE_BYTES (P256_KEY_BYTES / 2)
#define POINT_BYTES (1 + P256_KEY_BYTES)
#define POINT_UNCOMPRESSED 0x04 /* SEC 1, 2.3.3 */

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(port_sha256_t), "fits into what callers keep");

/* The first that is under way has the ESP32's engine until it is freed; others, TLS's too, are then done in software.
 */
static bool sha256_start(void *ctx, port_sha256_t *state)
{
    (void)ctx;
    mbedtls_sha256_context *own = (mbedtls_sha256_context *)state;
    mbedtls_sha256_init(own);
    if (mbedtls_sha256_starts(own, 0) != 0) {
        mbedtls_sha256_free(own);
        return false;
    }
    return true;
}

static bool sha256_update(void *ctx, port_sha256_t *state, const void *data, size_t len_bytes)
{
    (void)ctx;
    return mbedtls_sha256_update((mbedtls_sha256_context *)state, data, len_bytes) == 0;
}

static bool sha256_finish(void *ctx, port_sha256_t *state, uint8_t out[SHA256_BYTES])
{
    (void)ctx;
    mbedtls_sha256_context *own = (mbedtls_sha256_context *)state;
    bool done = out == NULL || mbedtls_sha256_finish(own, out) == 0;
    mbedtls_sha256_free(own);
    return done;
}

static bool read_key(mbedtls_ecp_group *group, mbedtls_ecp_point *key, const uint8_t public_key[P256_KEY_BYTES])
{
    uint8_t point[POINT_BYTES] = {POINT_UNCOMPRESSED};
    memcpy(point + 1, public_key, P256_KEY_BYTES);
    return mbedtls_ecp_group_load(group, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
           mbedtls_ecp_point_read_binary(group, key, point, sizeof(point)) == 0 &&
           mbedtls_ecp_check_pubkey(group, key) == 0; /* reading does not ask whether it is on the curve */
}

static bool is_p256_key(void *ctx, const uint8_t public_key[P256_KEY_BYTES])
{
    (void)ctx;
    mbedtls_ecp_group group;
    mbedtls_ecp_point key;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&key);
    bool good = read_key(&group, &key, public_key);
    mbedtls_ecp_point_free(&key);
    mbedtls_ecp_group_free(&group);
    return good;
}

static bool verify_p256(void *ctx, const uint8_t public_key[P256_KEY_BYTES], const uint8_t hash[SHA256_BYTES],
                        const uint8_t signature[P256_SIGNATURE_BYTES])
{
    (void)ctx;
    mbedtls_ecp_group group;
    mbedtls_ecp_point key;
    mbedtls_mpi r, s;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&key);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    bool good = read_key(&group, &key, public_key) && mbedtls_mpi_read_binary(&r, signature, COORDINATE_BYTES) == 0 &&
                mbedtls_mpi_read_binary(&s, signature + COORDINATE_BYTES, COORDINATE_BYTES) == 0 &&
                mbedtls_ecdsa_verify(&group, hash, SHA256_BYTES, &key, &r, &s) == 0;
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&key);
    mbedtls_ecp_group_free(&group);
    return good;
}

const port_crypto_t chip_crypto = {.sha256_start = sha256_start,
                                   .sha256_update = sha256_update,
                                   .sha256_finish = sha256_finish,
                                   .is_p256_key = is_p256_key,
                                   .verify_p256 = verify_p256};
