/* Key and certificate of this device, and the authorities that it pins; renewing them by EST (RFC 7030). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    void *ctx;
    /* Of the certificate in use: the renewed one where there is one, otherwise the factory's. False: there is none, or
     * it can't be read. */
    bool (*validity)(void *ctx, int64_t *not_before_unix_s, int64_t *not_after_unix_s);
    /* Begins simplereenroll at `url` (https://host:port of the firmware server; the path is RFC 7030's) with the
     * certificate in use, for a new key that is made here and never leaves. The new pair is kept in one step, beside
     * the factory's, and is in use from the next connection on. EVENT_RENEWAL_DONE follows. */
    void (*renew)(void *ctx, const char *url, const char *gateway_code);
} port_identity_t;
