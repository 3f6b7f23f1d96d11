/* Of esp-mqtt's own sources: what CONNACK said. */
#pragma once

#include "mqtt_client.h"

typedef struct {
    struct {
        uint32_t maximum_packet_size;
        uint16_t receive_maximum;
    } server_resp_property_info;
} mqtt5_config_storage_t;

struct esp_mqtt_client {
    mqtt5_config_storage_t *mqtt5_config;
};
