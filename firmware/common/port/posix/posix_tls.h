/* TLS as a device wants it, for libmosquitto and for libcurl: both take an SSL_CTX and keep what OpenSSL found to
 * themselves, so it is noted here by callbacks. */
#pragma once

#include <openssl/ssl.h>

#include "../../core/step.h"
#include "posix_credentials.h"

#define POSIX_TLS_NAME_MAX_CHARS 253

typedef struct {
    const posix_pair_t *pair;      /* NULL: nothing is shown */
    const STACK_OF(X509) * pinned; /* whom it trusts, and nobody else */
    const char *host;              /* whom the certificate must be of: a name, or an address */
    bool has_time;                 /* what the device takes for now; without it no certificate is judged by its time */
    int64_t unix_s;
} posix_tls_options_t;

/* What came of one connection. Lives as long as the SSL_CTX. */
typedef struct {
    char host[POSIX_TLS_NAME_MAX_CHARS + 1];
    bool is_address;
    int verify_error; /* X509_V_OK: nothing was found wrong */
    int alert;        /* the fatal one that the peer sent (RFC 8446, 6.2); -1: none */
    bool established; /* our part of the handshake is over */
    const char *version;
} posix_tls_t;

/* False: out of memory, or the pair does not fit. `tls` is what callbacks note into. */
bool posix_tls_configure(SSL_CTX *context, const posix_tls_options_t *options, posix_tls_t *tls);
SSL_CTX *posix_tls_context(const posix_tls_options_t *options, posix_tls_t *tls);

/* FAILURE_NONE: TLS is not what failed. */
failure_t posix_tls_failure(const posix_tls_t *tls);
const char *posix_tls_why(const posix_tls_t *tls); /* a few words; "" for none */
