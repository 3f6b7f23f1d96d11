/* One connection of esp-mqtt's client, from begin to end; of the task that keeps it. */
#pragma once

#include "../port_mqtt.h"
#include "chip_mqtt_limits.h"

/* What comes of it is posted as events of `connection`. NULL: it could not begin, and that is posted. */
esp_mqtt_client_handle_t chip_mqtt_client_begin(uint32_t connection, const app_mqtt_options_t *options);

/* With DISCONNECT where that can be, behind what was published. */
void chip_mqtt_client_end(esp_mqtt_client_handle_t client);

/* Of the connection whose EVENT_MQTT_CONNECTED came last; for any task. */
chip_mqtt_limits_t chip_mqtt_client_limits(void);
