/* Key and certificate: the factory's, read-only, or the renewed pair that is kept beside it in the device's own
 * storage, as on the chip. Of the two the one counts that was issued later: a unit that was provisioned anew has
 * another. */
#pragma once

#include "../port_identity.h"
#include "../port_kv.h"
#include "../port_log.h"
#include "posix_clock.h"
#include "posix_est.h"

#define POSIX_RENEWED_KEY "renewed" /* key PEM, a NUL, certificates PEM */
#define POSIX_CREDENTIAL_MAX_BYTES 16384

typedef struct {
    const port_log_t *log;
    const posix_clock_t *clock;
    const port_kv_t *factory, *kv;
    char code[CODE_MAX_CHARS + 1];
    posix_pair_t pair;
    STACK_OF(X509) * pinned;
    pair_t wanted; /* of those that are there */
    pair_times_t times[2];
    posix_est_t *est; /* NULL: no renewal is under way */
    bool has_event;
    event_t event;
    port_identity_t port;
} posix_identity_t;

/* Without a usable pair or authorities a device runs and says so when it is to connect by TLS. */
void posix_identity_init(posix_identity_t *identity, const port_log_t *log, const posix_clock_t *clock,
                         const port_kv_t *factory, const port_kv_t *kv, const char *gateway_code);
void posix_identity_end(posix_identity_t *identity);
bool posix_identity_tls(void *identity, posix_tls_options_t *out);
posix_source_t posix_identity_source(posix_identity_t *identity);
