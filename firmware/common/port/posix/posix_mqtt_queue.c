#include "posix_mqtt_queue.h"

#include <stdlib.h>
#include <string.h>

static void free_event(posix_mqtt_event_t *event)
{
    free(event->topic);
    free(event->payload);
    *event = (posix_mqtt_event_t){0};
}

static void add(posix_mqtt_queue_t *queue, posix_mqtt_event_t event)
{
    /* What is in flight, messages and the end together are fewer: see the limits. */
    if (queue->count == POSIX_MQTT_EVENTS_MAX) {
        free_event(&event);
        return;
    }
    queue->events[(queue->first + queue->count) % POSIX_MQTT_EVENTS_MAX] = event;
    queue->count++;
}

static posix_mqtt_event_t remove_first(posix_mqtt_queue_t *queue)
{
    posix_mqtt_event_t event = queue->events[queue->first];
    queue->first = (uint8_t)((queue->first + 1) % POSIX_MQTT_EVENTS_MAX);
    queue->count--;
    if (event.event.type == EVENT_MQTT_MESSAGE) {
        queue->messages--;
    }
    return event;
}

void posix_mqtt_queue_add(posix_mqtt_queue_t *queue, event_t event)
{
    add(queue, (posix_mqtt_event_t){.event = event});
}

void posix_mqtt_queue_add_message(posix_mqtt_queue_t *queue, const char *topic, const void *payload, size_t len_bytes)
{
    size_t len = len_bytes > COMMAND_MAX_BYTES ? COMMAND_MAX_BYTES + 1 : len_bytes;
    posix_mqtt_event_t event = {.topic = strdup(topic), .payload = malloc(len + 1)};
    if (queue->messages == POSIX_MQTT_MESSAGES_MAX || event.topic == NULL || event.payload == NULL) {
        queue->messages_dropped++;
        free_event(&event);
        return;
    }
    if (len > 0) {
        memcpy(event.payload, payload, len);
    }
    event.event = (event_t){.type = EVENT_MQTT_MESSAGE,
                            .message = {.topic = event.topic, .payload = event.payload, .len_bytes = len}};
    queue->messages++;
    add(queue, event);
}

bool posix_mqtt_queue_take(posix_mqtt_queue_t *queue, event_t *out)
{
    free_event(&queue->handed_out);
    if (queue->count == 0) {
        return false;
    }
    queue->handed_out = remove_first(queue);
    *out = queue->handed_out.event;
    return true;
}

void posix_mqtt_queue_clear(posix_mqtt_queue_t *queue)
{
    while (queue->count > 0) {
        posix_mqtt_event_t event = remove_first(queue);
        free_event(&event);
    }
}

void posix_mqtt_queue_end(posix_mqtt_queue_t *queue)
{
    posix_mqtt_queue_clear(queue);
    free_event(&queue->handed_out);
}
