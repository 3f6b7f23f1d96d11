#include "posix_crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#define COORDINATE_BYTES (P256_KEY_BYTES / 2)
#define POINT_BYTES (1 + P256_KEY_BYTES)
#define POINT_UNCOMPRESSED 0x04 /* SEC 1, 2.3.3 */

/* EVP's are on its heap: what a caller keeps is where. */
static EVP_MD_CTX *hash_of(const port_sha256_t *state)
{
    EVP_MD_CTX *hash = NULL;
    memcpy(&hash, state, sizeof(hash));
    return hash;
}

static bool sha256_start(void *ctx, port_sha256_t *state)
{
    (void)ctx;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        return false;
    }
    memcpy(state, &hash, sizeof(hash));
    return true;
}

static bool sha256_update(void *ctx, port_sha256_t *state, const void *data, size_t len_bytes)
{
    (void)ctx;
    return EVP_DigestUpdate(hash_of(state), data, len_bytes) == 1;
}

static bool sha256_finish(void *ctx, port_sha256_t *state, uint8_t out[SHA256_BYTES])
{
    (void)ctx;
    EVP_MD_CTX *hash = hash_of(state);
    bool done = out == NULL || EVP_DigestFinal_ex(hash, out, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return done;
}

/* Refuses what is no point of the curve. */
static EVP_PKEY *key_of(const uint8_t public_key[P256_KEY_BYTES])
{
    uint8_t point[POINT_BYTES] = {POINT_UNCOMPRESSED};
    char group[] = "P-256";
    memcpy(point + 1, public_key, P256_KEY_BYTES);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                                 OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
                                 OSSL_PARAM_construct_end()};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (maker == NULL || EVP_PKEY_fromdata_init(maker) != 1 ||
        EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(maker);
    return key;
}

static bool is_p256_key(void *ctx, const uint8_t public_key[P256_KEY_BYTES])
{
    (void)ctx;
    EVP_PKEY *key = key_of(public_key);
    EVP_PKEY_free(key);
    return key != NULL;
}

/* As DER (RFC 3279, 2.2.3), which OpenSSL takes. NULL: there is no memory. */
static uint8_t *der_of(const uint8_t signature[P256_SIGNATURE_BYTES], int *len_bytes)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    uint8_t *der = NULL;
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        *len_bytes = i2d_ECDSA_SIG(pair, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return der;
}

static bool verify_p256(void *ctx, const uint8_t public_key[P256_KEY_BYTES], const uint8_t hash[SHA256_BYTES],
                        const uint8_t signature[P256_SIGNATURE_BYTES])
{
    (void)ctx;
    int der_bytes = 0;
    EVP_PKEY *key = key_of(public_key);
    uint8_t *der = der_of(signature, &der_bytes);
    EVP_PKEY_CTX *verifier = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool good = verifier != NULL && der != NULL && EVP_PKEY_verify_init(verifier) == 1 &&
                EVP_PKEY_verify(verifier, der, (size_t)der_bytes, hash, SHA256_BYTES) == 1;
    EVP_PKEY_CTX_free(verifier);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return good;
}

const port_crypto_t posix_crypto = {.sha256_start = sha256_start,
                                    .sha256_update = sha256_update,
                                    .sha256_finish = sha256_finish,
                                    .is_p256_key = is_p256_key,
                                    .verify_p256 = verify_p256};
