/* An MQTT client: esp-mqtt on the chip, libmosquitto on a host. Nothing here blocks for longer than it takes to hand
 * over; what comes of it comes as events (core/step.h) from port_events_t.
 */
#pragma once

#include "../app/app.h"

typedef struct {
    void *ctx;
    /* Begins to connect, with a clean start of no kept session (the outbox keeps, not the broker), MQTT 5.
     * EVENT_MQTT_CONNECTED or EVENT_MQTT_FAILED follows. */
    void (*connect)(void *ctx, const app_mqtt_options_t *options);
    /* Ends the connection with DISCONNECT where it can, behind what was published; the will is not published. No event
     * of this connection follows, also none that waits already. */
    void (*close)(void *ctx);
    /* QoS 1. EVENT_MQTT_ACKED with the token follows, or the connection ends. What the broker said at CONNACK that it
     * takes none of is not sent: it is refused here, with ack.local. False: it could not be taken; the caller's
     * time-out sees to it. */
    bool (*publish)(void *ctx, const char *topic, const char *payload, uint16_t len_bytes, bool retain, uint16_t token);
    bool (*subscribe)(void *ctx, const char *topic);
} port_mqtt_t;
