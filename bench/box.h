/* Keys and certificates of gateways, as `tds provision` writes them: a folder for each, read before anything is timed.
 */
#pragma once

#include "loopback.h"
#include "message.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char code[CODE_MAX_BYTES];
    EVP_PKEY *key;
    X509 *leaf;
    X509 *issuer; /* NULL: the file has none */
} box_identity_t;

typedef struct {
    box_identity_t *identities;
    size_t count;
} box_t;

/* The code with that number. False after a sentence on standard error: it would be too long. */
bool box_code(char code[static CODE_MAX_BYTES], const code_format_t *codes, size_t number);

/* Those numbered 0 to `count` - 1. False after a sentence on standard error; box_free() is due in either case. */
bool box_read(box_t *box, const char *folder, const code_format_t *codes, size_t count);
void box_free(box_t *box);

/* For all connections of a run: servers are known by the ca.pem of the box's first gateway, and by `host`; `version` is
 * 12 or 13, the only one that is spoken. Every handshake is a whole one. NULL after a sentence on standard error. */
SSL_CTX *box_context(const box_t *box, const char *folder, const char *host, unsigned version);

/* Over a socket that stays the caller's, and that is not blocking. NULL: OpenSSL's queue of errors says why. */
SSL *box_connection(const box_identity_t *identity, SSL_CTX *context, const char *host, int fd);

/* One step of the handshake: IO_OK when it is done, IO_WOULD_BLOCK when it goes on at `events`, as epoll has them. */
io_result_t box_shake_hands(SSL *ssl, uint32_t *events);
