/* What the broker takes, by its CONNACK (MQTT 5, 3.2.2.3). */
#pragma once

#include <stdint.h>

#include "mqtt_client.h"

typedef struct {
    uint32_t packet_max_bytes; /* of a whole packet */
    uint16_t on_their_way_max; /* publishes that it has not acknowledged: its Receive Maximum */
} chip_mqtt_limits_t;

/* For the client's own task, from its MQTT_EVENT_CONNECTED on. */
chip_mqtt_limits_t chip_mqtt_limits(esp_mqtt_client_handle_t client);

/* Of a PUBLISH with QoS 1 and no properties (MQTT 5, 3.3). */
uint32_t chip_mqtt_packet_bytes(const char *topic, uint16_t len_bytes);
