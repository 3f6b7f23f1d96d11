/* A name to addresses without waiting: getaddrinfo(3) blocks for as long as resolv.conf says (5 s a server and try, 30
 * s or more in all), so a thread of its own does it and a pipe tells. It knows nothing of the device; who is late is
 * left to end by itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define POSIX_ADDRESSES_MAX 8 /* more are left out */
#define POSIX_ADDRESS_MAX_CHARS 63
#define POSIX_DNS_TIMEOUT_MS 10000
#define POSIX_LOOKUPS_MAX 3 /* late ones included; with so many under way the next fails at once */
#define POSIX_NAME_MAX_CHARS 253

typedef struct posix_lookup posix_lookup_t;

typedef struct {
    posix_lookup_t *lookup; /* NULL: none is under way */
    uint64_t give_up_at_ms;
    uint8_t count;
    char addresses[POSIX_ADDRESSES_MAX][POSIX_ADDRESS_MAX_CHARS + 1]; /* numeric */
    char why[96];                                                     /* after a failure: a few words */
} posix_resolver_t;

typedef enum { RESOLVER_WAITS, RESOLVER_FOUND, RESOLVER_FAILED } resolver_state_t;

/* An address is found at once. */
resolver_state_t posix_resolver_begin(posix_resolver_t *resolver, const char *name, uint64_t now_ms);
int posix_resolver_fd(const posix_resolver_t *resolver); /* readable when there is news; -1: nothing is under way */
resolver_state_t posix_resolver_step(posix_resolver_t *resolver, uint64_t now_ms);
void posix_resolver_cancel(posix_resolver_t *resolver);
