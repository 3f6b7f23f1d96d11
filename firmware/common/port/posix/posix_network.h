/* A host is always connected: this plays the radio, so that one can take it away. */
#pragma once

#include "../port_network.h"
#include "posix_source.h"

#define POSIX_NETWORK_RESTART_MS 300
#define POSIX_NETWORK_MODEM_MS 2000 /* a power key, held and let go, and the registration */

typedef struct {
    uint32_t seed;
    bool started;
    bool held_down; /* somebody took it away, until they give it back */
    bool said_up;
    bool restarting;
    uint64_t up_at_ms;
    uint32_t restarts, modem_restarts;
    port_network_t port;
} posix_network_t;

void posix_network_init(posix_network_t *network, uint32_t seed, bool has_modem);
void posix_network_hold(posix_network_t *network, bool down);
bool posix_network_is_up(const posix_network_t *network);
posix_source_t posix_network_source(posix_network_t *network);
