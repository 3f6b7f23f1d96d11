/* What a device shows and whom it trusts, as OpenSSL has it, from PEM in memory: no file ever holds a key in passing.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    EVP_PKEY *key;
    X509 *leaf;
    STACK_OF(X509) * issuers; /* of the leaf: sent along with it */
} posix_pair_t;

/* False: it can't be read, or key and certificate don't belong together. `pem` has certificates, the leaf first, and
 * `key_pem` a private key; the same text may be both. */
bool posix_pair_read(posix_pair_t *out, const char *key_pem, const char *pem);
void posix_pair_free(posix_pair_t *pair);
bool posix_pair_validity(const posix_pair_t *pair, int64_t *not_before_unix_s, int64_t *not_after_unix_s);
bool posix_pair_is_of(const posix_pair_t *pair, const char *code); /* its common name, and no more than one */

/* All certificates of a PEM text; NULL: none, or one can't be read. */
STACK_OF(X509) * posix_certificates(const char *pem);
bool posix_validity(const X509 *certificate, int64_t *not_before_unix_s, int64_t *not_after_unix_s);
bool posix_is_of(const X509 *certificate, const char *code);
