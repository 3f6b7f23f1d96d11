#include "trust.h"

#include <string.h>

#include "base64url.h"
#include "digest.h"
#include "kid.h"
#include "trust_set.h"

#define ROOT_CHARS 86
#define TYP "tds-trust+jws"

bool trust_init(trust_t *trust, const port_crypto_t *crypto, const char *roots)
{
    *trust = (trust_t){0};
    for (size_t count = 0; count < TRUST_MAX_ROOTS; count++) {
        trust_root_t *root = &trust->roots[count];
        size_t chars = strcspn(roots, ",");
        size_t len_bytes = 0;
        if (chars != ROOT_CHARS ||
            !base64url_decode(roots, chars, root->public_key, sizeof(root->public_key), &len_bytes) ||
            !crypto->is_p256_key(crypto->ctx, root->public_key) || !kid_of(crypto, root->public_key, root->kid)) {
            break;
        }
        if (roots[chars] == '\0') {
            trust->root_count = (uint8_t)(count + 1);
            return true;
        }
        roots += chars + 1;
    }
    *trust = (trust_t){0};
    return false;
}

static const trust_root_t *find_root(const trust_t *trust, const char *kid)
{
    for (size_t i = 0; i < trust->root_count; i++) {
        if (strcmp(trust->roots[i].kid, kid) == 0) {
            return &trust->roots[i];
        }
    }
    return NULL;
}

static trust_result_t check_signer(const trust_t *trust, const port_crypto_t *crypto, const jws_t *jws)
{
    if (trust_is_revoked(trust, jws->kid)) {
        return TRUST_ROOT_REVOKED;
    }
    const trust_root_t *root = find_root(trust, jws->kid);
    if (root == NULL) {
        return TRUST_ROOT_UNKNOWN;
    }
    switch (jws_is_signed_by(jws, crypto, root->public_key)) {
    case JWS_SIGNED:
        return TRUST_TAKEN;
    case JWS_NOT_SIGNED:
        return TRUST_SIGNATURE_INVALID;
    case JWS_NOT_CHECKED:
        break;
    }
    return TRUST_LOCAL_FAULT;
}

static trust_result_t check_succession(const trust_t *trust, const trust_set_t *set, const uint8_t sha256[SHA256_BYTES],
                                       int64_t now_unix_s)
{
    bool same = memcmp(sha256, trust->claims_sha256, SHA256_BYTES) == 0;
    if (set->version <= trust->version && !same) {
        return TRUST_REPLAYED;
    }
    if (now_unix_s != 0 && now_unix_s >= set->exp_unix_s) {
        return TRUST_EXPIRED;
    }
    return same ? TRUST_SAME : TRUST_TAKEN;
}

/* Of what a root signed. */
static trust_result_t take_set(trust_t *trust, const port_crypto_t *crypto, const claims_t *claims, const char *signer,
                               int64_t now_unix_s)
{
    trust_set_t set;
    uint8_t sha256[SHA256_BYTES];
    const digest_part_t text = {claims->text, claims->len_bytes};
    if (!trust_set_read(claims, &set)) {
        return TRUST_MALFORMED;
    }
    trust_result_t result = trust_set_check(&set, crypto, signer);
    if (result == TRUST_TAKEN && !digest_of(crypto, &text, 1, sha256)) {
        result = TRUST_LOCAL_FAULT;
    }
    if (result == TRUST_TAKEN) {
        result = check_succession(trust, &set, sha256, now_unix_s);
    }
    if (result == TRUST_TAKEN) {
        trust_set_fill(trust, &set);
        memcpy(trust->claims_sha256, sha256, sizeof(sha256));
    }
    return result;
}

trust_result_t trust_take(trust_t *trust, const port_crypto_t *crypto, const char *jws, size_t len_bytes,
                          int64_t now_unix_s, claims_t *claims)
{
    jws_t found;
    if (len_bytes > TRUST_MAX_BYTES || !jws_split(jws, len_bytes, &found) || strcmp(found.typ, TYP) != 0) {
        return TRUST_MALFORMED;
    }
    trust_result_t result = check_signer(trust, crypto, &found);
    if (result != TRUST_TAKEN) {
        return result;
    }
    if (!claims_read(claims, found.claims, found.claims_len_chars)) {
        return TRUST_MALFORMED;
    }
    return take_set(trust, crypto, claims, found.kid, now_unix_s);
}

const char *trust_reason(trust_result_t result)
{
    switch (result) {
    case TRUST_TAKEN:
    case TRUST_SAME:
        break;
    case TRUST_MALFORMED:
        return "malformed";
    case TRUST_ROOT_UNKNOWN:
        return "key_unknown";
    case TRUST_ROOT_REVOKED:
        return "key_revoked";
    case TRUST_SIGNATURE_INVALID:
        return "signature_invalid";
    case TRUST_REPLAYED:
        return "replayed";
    case TRUST_EXPIRED:
        return "expired";
    case TRUST_LOCAL_FAULT:
        return "local_fault";
    }
    return "";
}

const char *trust_sentence(trust_result_t result)
{
    switch (result) {
    case TRUST_TAKEN:
        return "The trust set was taken.";
    case TRUST_SAME:
        return "The trust set is the one that is there.";
    case TRUST_MALFORMED:
        return "The trust set is malformed; make it with the platform's own tool.";
    case TRUST_ROOT_UNKNOWN:
        return "The trust set is signed by no root key of this device; sign it with one that the factory wrote.";
    case TRUST_ROOT_REVOKED:
        return "The trust set is signed by a root key that is revoked; sign it with the other one.";
    case TRUST_SIGNATURE_INVALID:
        return "The signature of the trust set is not that of its root key: it was changed, or somebody else's.";
    case TRUST_REPLAYED:
        return "The trust set does not follow the one that is there; its version must be greater.";
    case TRUST_EXPIRED:
        return "The trust set has expired; publish a new one.";
    case TRUST_LOCAL_FAULT:
        break;
    }
    return "The trust set can't be checked: this device has no memory or engine for SHA-256 now; try again.";
}

bool trust_is_expired(const trust_t *trust, int64_t now_unix_s)
{
    return trust->version != 0 && now_unix_s != 0 && now_unix_s >= trust->exp_unix_s;
}

bool trust_is_revoked(const trust_t *trust, const char *kid)
{
    for (size_t i = 0; i < trust->revoked_count; i++) {
        if (strcmp(trust->revoked[i], kid) == 0) {
            return true;
        }
    }
    return false;
}

const trust_key_t *trust_find(const trust_t *trust, trust_use_t use, const char *kid)
{
    for (size_t i = 0; i < trust->key_count; i++) {
        if (trust->keys[i].use == use && strcmp(trust->keys[i].kid, kid) == 0) {
            return &trust->keys[i];
        }
    }
    return NULL;
}
