/* HTTPS to the firmware server, with this device's key and certificate and the pinned authorities: libcurl on a host,
 * esp_http_client on the chip. Nothing here waits; what comes of it comes as events (core/step.h) from port_events_t:
 * EVENT_HTTP_ANSWER once, EVENT_HTTP_DATA for each piece of its body, EVENT_HTTP_END at last, with the request's number
 * in all of them. A piece is good until the next look for events, and the next one is not read from the network before
 * that: what the device does with a piece holds up the server, and no memory fills. Bodies come of 200 and 206 alone.
 */
#pragma once

#include <stdbool.h>

#include "../core/http.h"

typedef struct {
    void *ctx;
    /* One that runs is cancelled. Texts of it may go with the next step. False: it could not begin, no event follows.
     */
    bool (*begin)(void *ctx, const http_request_t *request);
    void (*cancel)(void *ctx); /* no event of it follows, also none that waits already */
} port_http_t;
