/* Whether a manifest or a ticket is to be believed: by its `typ`, the key that it names, that key's time, and its
 * signature, in this order. What it says comes out only if it is; manifest_read() and ticket_read() look at that. Pure.
 */
#pragma once

#include "trust.h"

typedef enum { SIGNED_MANIFEST, SIGNED_TICKET } signed_type_t;

typedef enum {
    SIGNED_GOOD,
    SIGNED_MALFORMED,  /* also: too long, another `alg`, more in the header; claims that are no JSON object */
    SIGNED_WRONG_TYPE, /* a ticket for a manifest */
    SIGNED_NO_TRUST,   /* no trust set was taken yet */
    SIGNED_KEY_REVOKED,
    SIGNED_KEY_UNKNOWN, /* to this use: an assignment key signs no manifest */
    SIGNED_KEY_OUT_OF_TIME,
    SIGNED_SIGNATURE_INVALID,
    SIGNED_LOCAL_FAULT, /* SHA-256 can't be had */
} signed_result_t;

/* `now_unix_s` 0: not known, and keys have no time. `claims` is written by SIGNED_GOOD alone, and is worth nothing
 * after anything else. */
signed_result_t signed_check(const trust_t *trust, const port_crypto_t *crypto, signed_type_t type, const char *jws,
                             size_t len_bytes, int64_t now_unix_s, claims_t *claims);

/* The wire's word for it ("Report"), "" of SIGNED_GOOD; and a sentence for the log and `detail`. */
const char *signed_reason(signed_result_t result);
const char *signed_sentence(signed_result_t result);
