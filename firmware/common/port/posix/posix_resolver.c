#include "posix_resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024) /* glibc's resolver takes some 64 KiB of it */

struct posix_lookup {
    atomic_int owners; /* who asked, and the thread; the last one frees it */
    int ends[2];
    char name[POSIX_NAME_MAX_CHARS + 1];
    int error; /* of getaddrinfo() */
    int cause; /* its errno, where the error is EAI_SYSTEM */
    uint8_t count;
    char addresses[POSIX_ADDRESSES_MAX][POSIX_ADDRESS_MAX_CHARS + 1];
};

static atomic_int s_lookups; /* of the whole process: what is bounded is its threads */

static int look_up(const char *name, int flags, char addresses[][POSIX_ADDRESS_MAX_CHARS + 1], uint8_t *count)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    *count = 0;
    int error = getaddrinfo(name, NULL, &wanted, &found);
    for (struct addrinfo *one = found; error == 0 && one != NULL && *count < POSIX_ADDRESSES_MAX; one = one->ai_next) {
        if (getnameinfo(one->ai_addr, one->ai_addrlen, addresses[*count], POSIX_ADDRESS_MAX_CHARS + 1, NULL, 0,
                        NI_NUMERICHOST) == 0) {
            (*count)++;
        }
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return error;
}

static void let_go(posix_lookup_t *lookup)
{
    if (atomic_fetch_sub(&lookup->owners, 1) == 1) {
        close(lookup->ends[0]);
        close(lookup->ends[1]);
        free(lookup);
        atomic_fetch_sub(&s_lookups, 1);
    }
}

static void *run(void *ctx)
{
    posix_lookup_t *lookup = ctx;
    lookup->error = look_up(lookup->name, AI_ADDRCONFIG, lookup->addresses, &lookup->count);
    lookup->cause = errno;
    ssize_t ignored = write(lookup->ends[1], "", 1); /* what came before it is seen by who reads it */
    (void)ignored;
    let_go(lookup);
    return NULL;
}

static bool begin_thread(posix_lookup_t *lookup)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are the device's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

static posix_lookup_t *begin_lookup(const char *name)
{
    if (atomic_fetch_add(&s_lookups, 1) >= POSIX_LOOKUPS_MAX) {
        atomic_fetch_sub(&s_lookups, 1);
        return NULL;
    }
    posix_lookup_t *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL || pipe2(lookup->ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(lookup);
        atomic_fetch_sub(&s_lookups, 1);
        return NULL;
    }
    strcpy(lookup->name, name);
    atomic_init(&lookup->owners, 2);
    if (!begin_thread(lookup)) {
        atomic_store(&lookup->owners, 1);
        let_go(lookup);
        return NULL;
    }
    return lookup;
}

static resolver_state_t failed(posix_resolver_t *resolver, const char *why)
{
    posix_resolver_cancel(resolver);
    resolver->count = 0;
    snprintf(resolver->why, sizeof(resolver->why), "%s", why);
    return RESOLVER_FAILED;
}

resolver_state_t posix_resolver_begin(posix_resolver_t *resolver, const char *name, uint64_t now_ms)
{
    posix_resolver_cancel(resolver);
    if (strlen(name) > POSIX_NAME_MAX_CHARS) {
        return failed(resolver, "no name of a host is so long");
    }
    if (look_up(name, AI_NUMERICHOST, resolver->addresses, &resolver->count) == 0 && resolver->count > 0) {
        return RESOLVER_FOUND;
    }
    resolver->lookup = begin_lookup(name);
    if (resolver->lookup == NULL) {
        return failed(resolver, "too many look-ups are still under way");
    }
    resolver->give_up_at_ms = now_ms + POSIX_DNS_TIMEOUT_MS;
    return RESOLVER_WAITS;
}

int posix_resolver_fd(const posix_resolver_t *resolver)
{
    return resolver->lookup == NULL ? -1 : resolver->lookup->ends[0];
}

static const char *why_not(const posix_lookup_t *lookup)
{
    switch (lookup->error) {
    case 0:
        return "it has no address";
    case EAI_SYSTEM:
        return strerror(lookup->cause);
    default:
        return gai_strerror(lookup->error);
    }
}

resolver_state_t posix_resolver_step(posix_resolver_t *resolver, uint64_t now_ms)
{
    posix_lookup_t *lookup = resolver->lookup;
    if (lookup == NULL) {
        return RESOLVER_FAILED;
    }
    char news;
    if (read(lookup->ends[0], &news, 1) != 1) {
        return now_ms < resolver->give_up_at_ms ? RESOLVER_WAITS : failed(resolver, "no answer of any name server");
    }
    if (lookup->error != 0 || lookup->count == 0) {
        return failed(resolver, why_not(lookup));
    }
    resolver->count = lookup->count;
    memcpy(resolver->addresses, lookup->addresses, sizeof(resolver->addresses));
    posix_resolver_cancel(resolver);
    return RESOLVER_FOUND;
}

void posix_resolver_cancel(posix_resolver_t *resolver)
{
    if (resolver->lookup != NULL) {
        let_go(resolver->lookup);
        resolver->lookup = NULL;
    }
}
