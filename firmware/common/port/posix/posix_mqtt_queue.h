/* What came of a connection and waits for the loop: acknowledgements, messages, its beginning and its end. */
#pragma once

#include "../../core/step.h"

#define POSIX_MQTT_IN_FLIGHT_MAX 24 /* the sender's, presence, and some; beyond, a publish is not taken */
#define POSIX_MQTT_MESSAGES_MAX 16  /* that wait for the loop; beyond, a command is dropped: it is asked for again */
#define POSIX_MQTT_EVENTS_MAX 64    /* holds all of them, and the end of the connection */

typedef struct {
    event_t event;
    char *topic; /* of a message: ours, to be freed */
    uint8_t *payload;
} posix_mqtt_event_t;

typedef struct {
    posix_mqtt_event_t events[POSIX_MQTT_EVENTS_MAX];
    uint8_t first, count;
    uint8_t messages;
    uint32_t messages_dropped;
    posix_mqtt_event_t handed_out;
} posix_mqtt_queue_t;

void posix_mqtt_queue_add(posix_mqtt_queue_t *queue, event_t event);
/* A copy. Of a payload that is longer than any command no more is kept than that it is. */
void posix_mqtt_queue_add_message(posix_mqtt_queue_t *queue, const char *topic, const void *payload, size_t len_bytes);
/* What the event points to is good until the next call. */
bool posix_mqtt_queue_take(posix_mqtt_queue_t *queue, event_t *out);
void posix_mqtt_queue_clear(posix_mqtt_queue_t *queue); /* but for what was handed out */
void posix_mqtt_queue_end(posix_mqtt_queue_t *queue);
