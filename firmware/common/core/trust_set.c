#include "trust_set.h"

#include <string.h>

#include "kid.h"

#define COORDINATE_BYTES (P256_KEY_BYTES / 2)

static bool is_use(const char *text)
{
    return strcmp(text, "release") == 0 || strcmp(text, "assignment") == 0;
}

static bool read_key(const claims_t *claims, const json_token_t *object, trust_key_t *out)
{
    char use[sizeof("assignment")];
    if (!claims_text(claims, object, "kid", kid_is_valid, out->kid, sizeof(out->kid)) ||
        !claims_text(claims, object, "use", is_use, use, sizeof(use)) ||
        !claims_bytes(claims, object, "x", out->public_key, COORDINATE_BYTES) ||
        !claims_bytes(claims, object, "y", out->public_key + COORDINATE_BYTES, COORDINATE_BYTES) ||
        !claims_moment(claims, object, "nbf", &out->nbf_unix_s) ||
        !claims_moment(claims, object, "exp", &out->exp_unix_s)) {
        return false;
    }
    out->use = use[0] == 'r' ? TRUST_RELEASE : TRUST_ASSIGNMENT;
    return true;
}

bool trust_set_read(const claims_t *claims, trust_set_t *out)
{
    out->claims = claims;
    return claims_int(claims, claims->tokens, "version", 1, COUNTER_MAX, &out->version) &&
           claims_moment(claims, claims->tokens, "iat", &out->iat_unix_s) &&
           claims_moment(claims, claims->tokens, "exp", &out->exp_unix_s) &&
           claims_array(claims, claims->tokens, "keys", 1, TRUST_MAX_KEYS, &out->keys, &out->key_count) &&
           claims_array(claims, claims->tokens, "revoked", 0, TRUST_MAX_REVOKED, &out->revoked, &out->revoked_count);
}

static trust_result_t check_keys(const trust_set_t *set, const port_crypto_t *crypto)
{
    const json_token_t *at = set->keys;
    for (size_t i = 0; i < set->key_count; i++, at = claims_next(set->claims, at)) {
        trust_key_t key;
        char kid[KID_CHARS + 1];
        if (!read_key(set->claims, at, &key) || !crypto->is_p256_key(crypto->ctx, key.public_key)) {
            return TRUST_MALFORMED;
        }
        if (!kid_of(crypto, key.public_key, kid)) {
            return TRUST_LOCAL_FAULT;
        }
        if (strcmp(kid, key.kid) != 0) {
            return TRUST_MALFORMED; /* a key under another's name */
        }
    }
    return TRUST_TAKEN;
}

static trust_result_t check_revoked(const trust_set_t *set, const char *signer)
{
    trust_result_t result = TRUST_TAKEN;
    const json_token_t *at = set->revoked;
    for (size_t i = 0; i < set->revoked_count; i++, at = claims_next(set->claims, at)) {
        char kid[KID_CHARS + 1];
        if (!claims_string(set->claims, at, kid_is_valid, kid, sizeof(kid))) {
            return TRUST_MALFORMED;
        }
        if (strcmp(kid, signer) == 0) {
            result = TRUST_ROOT_REVOKED; /* after a restart it could not be taken again */
        }
    }
    return result;
}

void trust_set_fill(trust_t *trust, const trust_set_t *set)
{
    trust->version = (uint32_t)set->version;
    trust->iat_unix_s = set->iat_unix_s;
    trust->exp_unix_s = set->exp_unix_s;
    trust->key_count = (uint8_t)set->key_count;
    trust->revoked_count = (uint8_t)set->revoked_count;
    const json_token_t *at = set->keys;
    for (size_t i = 0; i < set->key_count; i++, at = claims_next(set->claims, at)) {
        (void)read_key(set->claims, at, &trust->keys[i]);
    }
    at = set->revoked;
    for (size_t i = 0; i < set->revoked_count; i++, at = claims_next(set->claims, at)) {
        (void)claims_string(set->claims, at, kid_is_valid, trust->revoked[i], sizeof(trust->revoked[i]));
    }
}

trust_result_t trust_set_check(const trust_set_t *set, const port_crypto_t *crypto, const char *signer)
{
    trust_result_t keys = check_keys(set, crypto);
    return keys != TRUST_TAKEN ? keys : check_revoked(set, signer);
}
