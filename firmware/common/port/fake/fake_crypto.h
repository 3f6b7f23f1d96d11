/* The real thing by OpenSSL, watched: what is under way is counted, and any call can be made to fail. */
#pragma once

#include "../port_crypto.h"

typedef enum { FAKE_VERIFY_REALLY, FAKE_VERIFY_YES, FAKE_VERIFY_NO } fake_verify_t;

typedef struct {
    port_crypto_t port;
    fake_verify_t verify;
    uint32_t under_way; /* started and not finished */
    uint32_t calls;     /* of SHA-256 */
    uint32_t fail_call; /* of them this one; 0: none */
    uint32_t verified;  /* signatures looked at */
} fake_crypto_t;

void fake_crypto_init(fake_crypto_t *crypto);
