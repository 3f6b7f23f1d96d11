/* Where events come from on a host. Each part of the port adds what it waits for to one poll(2), is served when
 * something is there, and hands out its events one by one; nothing in it waits by itself. */
#pragma once

#include <poll.h>

#include "../../core/step.h"

#define POSIX_WATCH_MAX 24 /* beyond: not waited for, and looked at every POSIX_WATCH_CROWDED_MS */
#define POSIX_WATCH_CROWDED_MS 100

typedef struct {
    struct pollfd fds[POSIX_WATCH_MAX];
    nfds_t count;
    uint64_t timeout_ms;
} posix_watch_t;

typedef struct {
    void *ctx;
    void (*watch)(void *ctx, uint64_t now_ms, posix_watch_t *watch);
    void (*serve)(void *ctx, uint64_t now_ms, const posix_watch_t *watch);
    /* False: it has none. What the event points to is good until the next call of any of the three. */
    bool (*take)(void *ctx, event_t *out);
} posix_source_t;

void posix_watch_add(posix_watch_t *watch, int fd, short events);
void posix_watch_within(posix_watch_t *watch, uint64_t ms); /* to be served after so long in any case */
short posix_watch_found(const posix_watch_t *watch, int fd);
