/* Keys, certification requests, and what comes of them, by OpenSSL. */
#pragma once

#include "posix_credentials.h"

EVP_PKEY *posix_new_key(void); /* P-256 */

/* PKCS #10 (RFC 2986) for `CN=<code>` and nothing else, DER in base64 with its NUL, to be freed; NULL: out of memory.
 */
char *posix_request(EVP_PKEY *key, const char *code);

/* Of the certificates in an answer of EST: the one for this key and code, then the others; as PEM, to be freed. Without
 * others `former` are its issuers where one of them is. NULL: none of them is ours. The answer's text is overwritten.
 */
char *posix_issued(char *answer, size_t len_bytes, const EVP_PKEY *key, const char *code, const STACK_OF(X509) * former,
                   int64_t *not_before_unix_s, int64_t *not_after_unix_s);

char *posix_key_pem(EVP_PKEY *key); /* to be wiped and freed by posix_wipe_text(); NULL: out of memory */
void posix_wipe_text(char *text);
