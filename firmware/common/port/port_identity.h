/* Key and certificate of this device, and the authorities that it pins; renewing them by EST (RFC 7030). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/pair_choice.h"

typedef struct {
    void *ctx;
    /* As of power-up. False, and 0, 0: there is no such pair, or it can't be used. The renewed one is in use where
     * there is one, and is there only as long as it was issued later than the factory's. */
    bool (*validity)(void *ctx, pair_t pair, pair_times_t *out);
    /* Of those that are there, this one from the next connection on, and for renewing. */
    void (*use)(void *ctx, pair_t pair);
    /* Begins simplereenroll at `url` (https://host:port of the firmware server; the path is RFC 7030's) with the
     * certificate in use, for a new key that is made here and never leaves. The new pair is kept in one step, beside
     * the factory's, and is in use from the next connection on. EVENT_RENEWAL_DONE follows. */
    void (*renew)(void *ctx, const char *url, const char *gateway_code);
} port_identity_t;
