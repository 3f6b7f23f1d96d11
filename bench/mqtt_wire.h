/* As much of MQTT 3.1.1 and 5 as a load generator and a bare subscriber need: bytes in, numbers out, no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_MAX_HEADER_BYTES 5U /* type and flags, then up to 4 bytes of remaining length */
#define MQTT_MAX_PACKET_ID 65535U

typedef enum {
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_SUBACK = 9,
    MQTT_PINGRESP = 13,
    MQTT_DISCONNECT = 14,
} mqtt_type_t;

typedef enum {
    MQTT_SPLIT_PACKET,     /* there is a whole packet */
    MQTT_SPLIT_INCOMPLETE, /* read on */
    MQTT_SPLIT_MALFORMED,
} mqtt_split_t;

typedef struct {
    uint8_t type;  /* a mqtt_type_t, or one that nobody asked for */
    uint8_t flags;
    const uint8_t *body; /* within the caller's buffer */
    size_t body_bytes;
    size_t total_bytes; /* with the header */
} mqtt_packet_t;

/* Both return the bytes written; the caller's buffer has MQTT_MAX_HEADER_BYTES or `capacity_bytes`, 0: too small. */
size_t mqtt_write_header(uint8_t *out, uint8_t type_and_flags, size_t remaining_bytes);
size_t mqtt_write_connect(uint8_t *out, size_t capacity_bytes, bool version_5, const char *client_id,
                          uint16_t keepalive_s);
size_t mqtt_write_subscribe(uint8_t *out, size_t capacity_bytes, bool version_5, const char *topic, uint8_t qos);

mqtt_split_t mqtt_split(const uint8_t *bytes, size_t count_bytes, mqtt_packet_t *packet);

uint16_t mqtt_read_u16(const uint8_t *bytes);
void mqtt_write_u16(uint8_t *out, uint16_t number);

/* The reason code of a CONNACK, PUBACK or SUBACK (its first one), 0xFF when the packet is malformed. */
uint8_t mqtt_reason_code(const mqtt_packet_t *packet, bool version_5);
/* What a CONNACK of version 5 allows to be in flight; 65535 where it says nothing. */
uint16_t mqtt_receive_maximum(const mqtt_packet_t *connack);
