/* The way to the internet: Wi-Fi, or a modem. It connects by itself and reports EVENT_NETWORK_UP and _DOWN. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    void *ctx;
    /* Texts are good for the call. Called again when they were changed: from then on with the new ones. */
    void (*start)(void *ctx, const char *ssid, const char *password, const char *apn);
    /* The radio. What it takes the network away for is told by EVENT_NETWORK_DOWN and _UP; a port for which nothing
     * changes says nothing. */
    void (*restart)(void *ctx);
    void (*restart_modem)(void *ctx); /* by its power key; NULL: there is none */
    bool (*signal_dbm)(void *ctx, int32_t *out);
} port_network_t;
