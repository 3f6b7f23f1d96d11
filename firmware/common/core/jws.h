/* JWS in compact serialisation (RFC 7515, 3.1), ES256 (RFC 7518, 3.4) and nothing else. Pure.
 *
 * The header is an object with `alg`, `kid` and `typ` and nothing else, each once: there is nothing to negotiate, and
 * no key, address or algorithm of whoever wrote it.
 */
#pragma once

#include "../port/port_crypto.h"
#include "bounds.h"
#include "kid.h"

#define TYP_MAX_CHARS 31

/* Taken apart; nothing in it is to be believed before jws_is_signed_by(). Points into the text. */
typedef struct {
    const char *text;
    size_t signed_len_bytes; /* header, dot, claims: what was signed */
    const char *claims;      /* base64url */
    size_t claims_len_chars;
    uint8_t signature[P256_SIGNATURE_BYTES];
    char kid[KID_CHARS + 1];     /* of the header; empty: longer than any of ours */
    char typ[TYP_MAX_CHARS + 1]; /* of the header; empty: longer than any of ours */
} jws_t;

/* False: it is malformed. */
bool jws_split(const char *text, size_t len_bytes, jws_t *out);

typedef enum { JWS_SIGNED, JWS_NOT_SIGNED, JWS_NOT_CHECKED } jws_check_t; /* the last: SHA-256 can't be had */

jws_check_t jws_is_signed_by(const jws_t *jws, const port_crypto_t *crypto, const uint8_t public_key[P256_KEY_BYTES]);
