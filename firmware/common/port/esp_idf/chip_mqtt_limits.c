#include "chip_mqtt_limits.h"

#include <string.h>

/* esp-mqtt reads Maximum Packet Size, and holds nothing against it; it knows Receive Maximum, and lets one too many and
 * all that it has not written yet go past. Both it tells only to its own sources: this is the one place that looks. */
#include "mqtt_client_priv.h"

#define VARIABLE_LENGTH_BYTE 128U /* MQTT 5, 1.5.5: seven bits each */

chip_mqtt_limits_t chip_mqtt_limits(esp_mqtt_client_handle_t client)
{
    const uint32_t packet_max_bytes = client->mqtt5_config->server_resp_property_info.maximum_packet_size;
    return (chip_mqtt_limits_t){
        .packet_max_bytes = packet_max_bytes != 0 ? packet_max_bytes : UINT32_MAX, /* 0: it said none */
        .on_their_way_max = client->mqtt5_config->server_resp_property_info.receive_maximum,
    };
}

uint32_t chip_mqtt_packet_bytes(const char *topic, uint16_t len_bytes)
{
    /* The topic's length, it, the identifier, the length of no properties, the payload. */
    const uint32_t remaining_bytes = 2 + (uint32_t)strlen(topic) + 2 + 1 + len_bytes;
    uint32_t header_bytes = 1;
    for (uint32_t left = remaining_bytes; left > 0; left /= VARIABLE_LENGTH_BYTE) {
        header_bytes++;
    }
    return header_bytes + remaining_bytes;
}
