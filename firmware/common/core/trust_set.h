/* A trust set as its claims have it, before anything of it counts: trust.c's own. Pure. */
#pragma once

#include "trust.h"

typedef struct {
    const claims_t *claims;
    int64_t version, iat_unix_s, exp_unix_s;
    const json_token_t *keys, *revoked;
    size_t key_count, revoked_count;
} trust_set_t;

/* False: it is malformed. */
bool trust_set_read(const claims_t *claims, trust_set_t *out);

/* TRUST_TAKEN: each key is one and called by its name, and `signer`, the root that signed it, is not revoked in it. */
trust_result_t trust_set_check(const trust_set_t *set, const port_crypto_t *crypto, const char *signer);

/* Of a set that was checked: nothing fails any more, so that what is there is never half of one. */
void trust_set_fill(trust_t *trust, const trust_set_t *set);
