/* The keys that this device believes: root keys from the factory, and the trust set that one of them signed
 * (docs/firmware-updates.md, "Signed documents"). Pure; a value: what is to outlive a restart is the document, which is
 * taken again at the next one.
 */
#pragma once

#include "claims.h"
#include "jws.h"

typedef enum { TRUST_RELEASE, TRUST_ASSIGNMENT } trust_use_t; /* signs manifests; tickets */

typedef struct {
    char kid[KID_CHARS + 1];
    uint8_t public_key[P256_KEY_BYTES];
} trust_root_t;

typedef struct {
    char kid[KID_CHARS + 1];
    trust_use_t use;
    uint8_t public_key[P256_KEY_BYTES];
    int64_t nbf_unix_s, exp_unix_s; /* from, and until before */
} trust_key_t;

typedef struct {
    uint32_t version; /* 0: no set was taken yet */
    int64_t iat_unix_s, exp_unix_s;
    uint8_t claims_sha256[SHA256_BYTES];
    uint8_t root_count, key_count, revoked_count;
    trust_root_t roots[TRUST_MAX_ROOTS];
    trust_key_t keys[TRUST_MAX_KEYS];
    char revoked[TRUST_MAX_REVOKED][KID_CHARS + 1];
} trust_t;

typedef enum {
    TRUST_TAKEN,
    TRUST_SAME, /* it is the one that is there */
    TRUST_MALFORMED,
    TRUST_ROOT_UNKNOWN,
    TRUST_ROOT_REVOKED, /* by the set that is there, or by itself */
    TRUST_SIGNATURE_INVALID,
    TRUST_REPLAYED, /* an older version, or the same with other contents */
    TRUST_EXPIRED,
    TRUST_LOCAL_FAULT, /* SHA-256 can't be had */
} trust_result_t;

/* The factory's root keys: 1 or 2 times base64url of x and y, with a comma between (NVS: `trust_roots`). No set is
 * there after it. False: it is another text, and nothing is believed. */
bool trust_init(trust_t *trust, const port_crypto_t *crypto, const char *roots);

/* Takes a trust set if a root signed it and it does not go back; otherwise `trust` is as it was. `now_unix_s` 0: not
 * known, so that no set is expired; that is also how the kept document is taken after a restart, since an expired set
 * still runs the device. `claims` is memory to work in. */
trust_result_t trust_take(trust_t *trust, const port_crypto_t *crypto, const char *jws, size_t len_bytes,
                          int64_t now_unix_s, claims_t *claims);

/* The wire's word for it ("Report"), "" of TRUST_TAKEN and TRUST_SAME; and a sentence for the log. */
const char *trust_reason(trust_result_t result);
const char *trust_sentence(trust_result_t result);

/* For reports: a set is there, and the time is known and past its end. */
bool trust_is_expired(const trust_t *trust, int64_t now_unix_s);

bool trust_is_revoked(const trust_t *trust, const char *kid);
const trust_key_t *trust_find(const trust_t *trust, trust_use_t use, const char *kid); /* NULL: there is none */
