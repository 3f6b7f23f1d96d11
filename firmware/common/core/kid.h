/* Names of public keys: JWK thumbprints (RFC 7638, SHA-256). Pure. */
#pragma once

#include "../port/port_crypto.h"

#define KID_CHARS 43

/* False: SHA-256 can't be had. */
bool kid_of(const port_crypto_t *crypto, const uint8_t public_key[P256_KEY_BYTES], char kid[KID_CHARS + 1]);

/* The form alone: 43 characters of base64url. */
bool kid_is_valid(const char *text);
