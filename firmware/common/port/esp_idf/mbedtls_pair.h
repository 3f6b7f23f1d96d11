/* Keys, requests and certificates by mbedTLS 3.6. Nothing of ESP-IDF in it: it is compiled and tested on a host as
 * well. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIR_KEY_PEM_BYTES 512
#define PAIR_REQUEST_DER_BYTES 512
#define PAIR_CERTIFICATE_PEM_BYTES 3072

typedef struct {
    int64_t not_before_unix_s, not_after_unix_s;
} pair_validity_t;

/* A new key on P-256, in PEM, and a request (PKCS #10, RFC 2986) for `CN=<gateway_code>` that it signs, in base64. */
bool mbedtls_pair_make(const char *gateway_code, char key_pem[PAIR_KEY_PEM_BYTES], char *request_base64,
                       size_t cap_bytes);

/* Whether the first certificate of a PEM text is for this key, and when. It is of this gateway if `gateway_code` is its
 * one common name. */
bool mbedtls_pair_read(const char *key_pem, const char *certificate_pem, pair_validity_t *out);
bool mbedtls_pair_is_of(const char *certificate_pem, const char *gateway_code);

/* Whether a certificate (DER) is of this gateway and for this key; then it is written as PEM. False too when it does
 * not fit. */
bool mbedtls_pair_join(const char *key_pem, const char *gateway_code, const uint8_t *der, size_t der_bytes,
                       char *certificate_pem, size_t cap_bytes, pair_validity_t *out);

/* Whether a certificate (DER) is of the authority that signed the last one of a PEM text; then it is written behind it.
 * False too when it does not fit, or when that last one is a root: the text is as it was. */
bool mbedtls_pair_append_issuer(char *certificate_pem, size_t cap_bytes, const uint8_t *der, size_t der_bytes);
