/* One poll(2) for all of a device, in one thread. */
#pragma once

#include "../port_events.h"
#include "posix_source.h"

#define POSIX_SOURCES_MAX 8

typedef struct {
    posix_source_t sources[POSIX_SOURCES_MAX];
    uint8_t count;
    uint8_t turn; /* whose events come first: no source starves another */
    uint32_t max_wait_ms;
    int signals[2]; /* self-pipe: a signal between the last look and poll() is not slept over */
    port_events_t port;
} posix_events_t;

/* `max_wait_ms`: the longest wait of one next(), for who has something to do between. False: no descriptors left. */
bool posix_events_init(posix_events_t *events, uint32_t max_wait_ms);
void posix_events_add(posix_events_t *events, posix_source_t source);
/* SIGTERM, SIGINT or SIGHUP came. */
bool posix_events_told_to_stop(void);
