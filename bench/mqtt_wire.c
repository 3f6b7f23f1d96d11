#include "mqtt_wire.h"

#include <string.h>

#define CONNECT 0x10
#define SUBSCRIBE 0x82
#define CLEAN_START 0x02
#define PROPERTY_RECEIVE_MAXIMUM 0x21
#define MALFORMED 0xFF

void mqtt_write_u16(uint8_t *out, uint16_t number)
{
    out[0] = (uint8_t)(number >> 8);
    out[1] = (uint8_t)(number & 0xFF);
}

uint16_t mqtt_read_u16(const uint8_t *bytes)
{
    return (uint16_t)((bytes[0] << 8) | bytes[1]);
}

size_t mqtt_write_header(uint8_t *out, uint8_t type_and_flags, size_t remaining_bytes)
{
    size_t at = 0;
    out[at++] = type_and_flags;
    do {
        uint8_t low = (uint8_t)(remaining_bytes & 0x7F);
        remaining_bytes >>= 7;
        out[at++] = (uint8_t)(low | (remaining_bytes > 0 ? 0x80 : 0));
    } while (remaining_bytes > 0 && at < MQTT_MAX_HEADER_BYTES);
    return at;
}

static size_t write_text(uint8_t *out, const char *text)
{
    size_t bytes = strlen(text);
    mqtt_write_u16(out, (uint16_t)bytes);
    memcpy(out + 2, text, bytes);
    return 2 + bytes;
}

size_t mqtt_write_connect(uint8_t *out, size_t capacity_bytes, bool version_5, const char *client_id,
                          uint16_t keepalive_s)
{
    size_t remaining_bytes = 6 + 1 + 1 + 2 + (version_5 ? 1U : 0U) + 2 + strlen(client_id);
    if (strlen(client_id) > UINT16_MAX || MQTT_MAX_HEADER_BYTES + remaining_bytes > capacity_bytes) {
        return 0;
    }
    size_t at = mqtt_write_header(out, CONNECT, remaining_bytes);
    at += write_text(out + at, "MQTT");
    out[at++] = version_5 ? 5 : 4;
    out[at++] = CLEAN_START;
    mqtt_write_u16(out + at, keepalive_s);
    at += 2;
    if (version_5) {
        out[at++] = 0; /* no properties: a receive maximum of 65535, a session that ends with the connection */
    }
    return at + write_text(out + at, client_id);
}

size_t mqtt_write_subscribe(uint8_t *out, size_t capacity_bytes, bool version_5, const char *topic, uint8_t qos)
{
    size_t remaining_bytes = 2 + (version_5 ? 1U : 0U) + 2 + strlen(topic) + 1;
    if (strlen(topic) > UINT16_MAX || MQTT_MAX_HEADER_BYTES + remaining_bytes > capacity_bytes) {
        return 0;
    }
    size_t at = mqtt_write_header(out, SUBSCRIBE, remaining_bytes);
    mqtt_write_u16(out + at, 1);
    at += 2;
    if (version_5) {
        out[at++] = 0;
    }
    at += write_text(out + at, topic);
    out[at++] = qos;
    return at;
}

/* A number of up to four bytes; 0 bytes read: not whole yet, or malformed when `malformed` is set. */
static size_t read_varint(const uint8_t *bytes, size_t count_bytes, size_t *number, bool *malformed)
{
    *number = 0;
    *malformed = false;
    for (size_t at = 0; at < count_bytes && at < 4; at++) {
        *number |= (size_t)(bytes[at] & 0x7F) << (7 * at);
        if (!(bytes[at] & 0x80)) {
            return at + 1;
        }
    }
    *malformed = count_bytes >= 4;
    return 0;
}

mqtt_split_t mqtt_split(const uint8_t *bytes, size_t count_bytes, mqtt_packet_t *packet)
{
    if (count_bytes < 2) {
        return MQTT_SPLIT_INCOMPLETE;
    }
    bool malformed;
    size_t length_bytes = read_varint(bytes + 1, count_bytes - 1, &packet->body_bytes, &malformed);
    if (length_bytes == 0) {
        return malformed ? MQTT_SPLIT_MALFORMED : MQTT_SPLIT_INCOMPLETE;
    }
    packet->type = (uint8_t)(bytes[0] >> 4);
    packet->flags = (uint8_t)(bytes[0] & 0x0F);
    packet->total_bytes = 1 + length_bytes + packet->body_bytes;
    if (packet->total_bytes > count_bytes) {
        return MQTT_SPLIT_INCOMPLETE; /* total_bytes is set: the caller can see whether it will ever fit */
    }
    packet->body = bytes + 1 + length_bytes;
    return MQTT_SPLIT_PACKET;
}

uint8_t mqtt_reason_code(const mqtt_packet_t *packet, bool version_5)
{
    if (packet->type == MQTT_CONNACK) {
        return packet->body_bytes >= 2 ? packet->body[1] : MALFORMED;
    }
    if (packet->type == MQTT_PUBACK) {
        if (packet->body_bytes < 2) {
            return MALFORMED;
        }
        return version_5 && packet->body_bytes > 2 ? packet->body[2] : 0;
    }
    if (packet->type == MQTT_SUBACK) {
        size_t properties_bytes = 0;
        size_t at = 2;
        if (version_5) {
            bool malformed;
            size_t length_bytes =
                packet->body_bytes > at
                    ? read_varint(packet->body + at, packet->body_bytes - at, &properties_bytes, &malformed)
                    : 0;
            if (length_bytes == 0) {
                return MALFORMED;
            }
            at += length_bytes + properties_bytes;
        }
        return packet->body_bytes > at ? packet->body[at] : MALFORMED;
    }
    if (packet->type == MQTT_DISCONNECT) {
        return packet->body_bytes >= 1 ? packet->body[0] : 0;
    }
    return MALFORMED;
}

/* The size of a CONNACK property's value by its identifier; 0: one that a CONNACK cannot have. */
static size_t property_bytes(uint8_t identifier, const uint8_t *value, size_t left_bytes)
{
    switch (identifier) {
    case 0x24: /* maximum QoS */
    case 0x25: /* retain available */
    case 0x28: /* wildcards available */
    case 0x29: /* subscription identifiers available */
    case 0x2A: /* shared subscriptions available */
        return 1;
    case 0x13: /* server keepalive */
    case PROPERTY_RECEIVE_MAXIMUM:
    case 0x22: /* topic alias maximum */
        return 2;
    case 0x11: /* session expiry */
    case 0x27: /* maximum packet size */
        return 4;
    case 0x12: /* assigned client id */
    case 0x15: /* authentication method */
    case 0x16: /* authentication data */
    case 0x1A: /* response information */
    case 0x1C: /* server reference */
    case 0x1F: /* reason */
        return left_bytes >= 2 ? 2U + mqtt_read_u16(value) : 0;
    case 0x26: { /* user property: a pair of texts */
        size_t first_bytes = left_bytes >= 2 ? 2U + mqtt_read_u16(value) : 0;
        if (first_bytes == 0 || first_bytes + 2 > left_bytes) {
            return 0;
        }
        return first_bytes + 2U + mqtt_read_u16(value + first_bytes);
    }
    default:
        return 0;
    }
}

uint16_t mqtt_receive_maximum(const mqtt_packet_t *connack)
{
    size_t properties = 0;
    bool malformed;
    if (connack->body_bytes < 3) {
        return UINT16_MAX;
    }
    size_t at = 2 + read_varint(connack->body + 2, connack->body_bytes - 2, &properties, &malformed);
    size_t end = at + properties <= connack->body_bytes ? at + properties : connack->body_bytes;
    while (at + 1 < end) {
        uint8_t identifier = connack->body[at++];
        size_t value_bytes = property_bytes(identifier, connack->body + at, end - at);
        if (value_bytes == 0 || at + value_bytes > end) {
            break;
        }
        if (identifier == PROPERTY_RECEIVE_MAXIMUM) {
            return mqtt_read_u16(connack->body + at);
        }
        at += value_bytes;
    }
    return UINT16_MAX;
}
