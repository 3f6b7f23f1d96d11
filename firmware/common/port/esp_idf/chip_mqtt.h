/* MQTT 5 by ESP-IDF's own client (esp-mqtt).
 *
 * To begin a connection and to end one can take that client a minute: it holds its lock while it resolves a name,
 * connects and shakes hands, and whoever wants to end it waits. So a task of ours does both, and the device's own hands
 * over what is wanted. It speaks to the client itself only to publish: that waits no longer than one write of the
 * client's does, CHIP_MQTT_TIMEOUT_MS.
 */
#pragma once

#include "../port_mqtt.h"

/* Of each step: TCP, the handshake, the answer to CONNECT, a write. Together less than the core's CONNECT_TIMEOUT_MS,
 * or nearly. */
#define CHIP_MQTT_TIMEOUT_MS 10000

/* False: there is no memory for its task. */
bool chip_mqtt_init(port_mqtt_t *port);

/* For chip_events_init(). */
bool chip_mqtt_accepts(uint32_t connection, event_t *event);

/* From the client's own task: the topics of this connection are asked for again after a minute. */
void chip_mqtt_topic_refused(void);

/* Waits until what was wanted is done: the goodbye is said. */
void chip_mqtt_settle(uint32_t timeout_ms);
